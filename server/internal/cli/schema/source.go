package schema

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/guard"
)

// maxSchemaBytes bounds what is read as an image. What no server needs is left
// out of it, so it may be larger than a request.
const maxSchemaBytes = 256 << 20

// sourceFlags is where a command gets schemas from: its argument and flags.
type sourceFlags struct{ buf string }

// sourceUse is how the help shows the argument.
const sourceUse = "[DIR|FILE|-]"

const sourceHelp = `DIR is a directory with a buf.yaml, by default the current one: Buf builds it.
FILE is a Buf image or a FileDescriptorSet, binary or JSON; - is standard input.
Files of google.protobuf, buf.validate and tidings are taken along only as far
as the others import them.`

func (s *sourceFlags) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.buf, "buf", "buf", "`PROGRAM` that builds a directory, Buf: a path, or a name in PATH")
}

// atMostOne wants one positional argument or none.
func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("unexpected argument %q", args[1])
	}
	return nil
}

// localSchemas are the schemas that a command was given.
type localSchemas struct {
	files []*descriptorpb.FileDescriptorProto
	image []byte // The same, encoded.
	// workspace is what they were built from. nil: it isn't known.
	workspace *bufWorkspace
}

// read reads the schemas that the arguments of a command name.
func (s *sourceFlags) read(cmd *cobra.Command, args []string) (*localSchemas, error) {
	name := "."
	if len(args) > 0 {
		name = args[0]
	}
	local := new(localSchemas)
	shown := name
	var encoded []byte
	var err error
	if name == "-" {
		shown = "standard input"
		encoded, err = readSchemas(cmd.Context(), cmd.InOrStdin())
	} else {
		encoded, err = s.open(cmd, name, local)
	}
	if err != nil {
		return nil, err
	}
	if local.files, err = readImage(encoded); err == nil {
		local.image, err = proto.MarshalOptions{Deterministic: true}.Marshal(&descriptorpb.FileDescriptorSet{File: local.files})
	}
	if err != nil {
		return nil, command.WithStatus(command.StatusRefused, fmt.Errorf("%s: %w", shown, err))
	}
	return local, nil
}

// open returns the image in a file, or of a directory, whose workspace it notes.
func (s *sourceFlags) open(cmd *cobra.Command, name string, local *localSchemas) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // It is only read.
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.IsDir() {
		if filepath.Ext(name) == ".proto" {
			return nil, command.Usagef("%s is a source file: name its directory with a buf.yaml, or the image that it is built into", name)
		}
		return readSchemas(cmd.Context(), file)
	}
	local.workspace, err = openWorkspace(s.buf, name, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return local.workspace.image(cmd.Context())
}

// readSchemas reads all of an input. It doesn't wait for it after the context's
// end: nobody waits for the goroutine then, which ends with its input or the
// process.
func readSchemas(ctx context.Context, input io.Reader) ([]byte, error) {
	type result struct {
		contents []byte
		err      error
	}
	done := make(chan result, 1)
	var contents []byte
	guard.Go(func() (err error) {
		contents, err = io.ReadAll(io.LimitReader(input, maxSchemaBytes+1))
		if err == nil && len(contents) > maxSchemaBytes {
			err = command.WithStatus(command.StatusRefused, fmt.Errorf("the image is larger than %d bytes", maxSchemaBytes))
		}
		return err
	}, func(err error) { done <- result{contents, err} })
	select {
	case r := <-done:
		return r.contents, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkSize reports whether a request with the schemas fits what the server takes:
// far above that it ends the connection without an answer.
func checkSize(ctx context.Context, c *command.Client, request proto.Message) error {
	info, err := c.Info.GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
	if err != nil {
		return err
	}
	size, limit := int64(proto.Size(request)), info.GetLimits().GetMaxRequestBytes()
	if limit <= 0 || size <= limit {
		return nil
	}
	return command.WithStatus(command.StatusRefused, fmt.Errorf("the request with the image has %d bytes, and the server takes requests of at most %d: "+
		"build the image without comments (buf build --exclude-source-info), push the modules one by one, or start the server with a larger --max-request-bytes", size, limit))
}

// errNoSchemas is for images that only hold what every server has.
var errNoSchemas = errors.New("it holds no schemas besides those of google.protobuf, buf.validate and tidings, which the server has")
