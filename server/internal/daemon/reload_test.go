package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/schema/schematest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// logged hands over what is logged, each with its attributes as text.
type logged chan string

func (l logged) Enabled(context.Context, slog.Level) bool { return true }
func (l logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logged) WithGroup(string) slog.Handler            { return l }

func (l logged) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(attr slog.Attr) bool {
		text += fmt.Sprintf(" %s=%v", attr.Key, attr.Value)
		return true
	})
	l <- text
	return nil
}

// next waits for a line that begins with a text and contains another.
func (l logged) next(t *testing.T, begin, inside string) string {
	t.Helper()
	ctx := deadline(t)
	for {
		select {
		case line := <-l:
			if strings.HasPrefix(line, begin) && strings.Contains(line, inside) {
				return line
			}
		case <-ctx.Done():
			t.Fatalf("nothing is logged that begins with %q and contains %q", begin, inside)
		}
	}
}

// reloading is a server in this process and its file of schemas.
type reloading struct {
	log     logged
	file    string
	schemas tidingsv1.SchemaServiceClient
}

func startReloading(t *testing.T, cfg daemon.Config) *reloading {
	t.Helper()
	r := &reloading{log: make(logged, 1000), file: filepath.Join(t.TempDir(), "schemas.binpb")}
	r.write(t, schematest.Image(schematest.Event("notes.v1", "notes", "text string")))
	cfg.HTTPAddr, cfg.GRPCAddr, cfg.Schemas = "127.0.0.1:0", "127.0.0.1:0", r.file
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, cfg, slog.New(r.log)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	_, rest, _ := strings.Cut(r.log.next(t, "serving ", ""), "grpc=")
	addr, _, _ := strings.Cut(rest, " ")
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r.schemas = tidingsv1.NewSchemaServiceClient(conn)
	return r
}

// write writes the file where it lies.
func (r *reloading) write(t *testing.T, content []byte) {
	t.Helper()
	if err := os.WriteFile(r.file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *reloading) want(t *testing.T, fieldNames ...string) {
	t.Helper()
	if got := fields(t.Context(), t, r.schemas, "notes.v1"); !slices.Equal(got, fieldNames) {
		t.Errorf("the fields are %q, want %q", got, fieldNames)
	}
}

const (
	reloaded    = "schemas reloaded"
	notReloaded = "schemas not reloaded"
)

func TestReload(t *testing.T) {
	t.Parallel()
	r := startReloading(t, withBuf(t))
	r.want(t, "text")

	// Replaced in one step.
	next := r.file + ".new"
	if err := os.WriteFile(next, schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		t.Fatal(err)
	}
	r.log.next(t, reloaded, "")
	r.want(t, "text", "count")

	// Written where it lies; refused in many ways, each of which leaves what was.
	for name, test := range map[string]struct {
		content []byte
		says    string
	}{
		"a break":         {schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count string")), "things/notes.v1.proto: FIELD_SAME_TYPE: "},
		"a field less":    {schematest.Image(schematest.Event("notes.v1", "notes", "text string")), "FIELD_NO_DELETE"},
		"not an image":    {[]byte("no image"), "neither a Buf image nor a FileDescriptorSet"},
		"half of a file":  {schematest.Image(schematest.Event("notes.v1", "notes", "text string"))[:30], "neither a Buf image nor a FileDescriptorSet"},
		"nothing at all":  {nil, "it holds no file"},
		"a wrong option":  {schematest.Image(schematest.Event("notes.v1", "No topic", "text string", "count int32")), "is not a topic name"},
		"a wrong rule":    {schematest.Image(misruled()), "rules of notes.v1.Noted.text: failed to compile program string.pattern"},
		"another's names": {schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32"), elsewhere()), "Noted"},
	} {
		r.write(t, test.content)
		t.Log(name)
		// It may be seen half-written before, which is refused too.
		r.log.next(t, notReloaded, test.says)
		r.want(t, "text", "count")
	}

	r.write(t, schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32", "more int64")))
	r.log.next(t, reloaded, "")
	r.want(t, "text", "count", "more")
	r.write(t, schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32", "more int64"), schematest.Event("others.v1", "", "text string")))
	r.log.next(t, reloaded, "")
	if got := fields(t.Context(), t, r.schemas, "others.v1"); !slices.Equal(got, []string{"text"}) {
		t.Errorf("the new file has the fields %q", got)
	}
}

// Without a Buf nobody can say whether a change breaks somebody.
func TestReloadWithoutBuf(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = t.TempDir()
	r := startReloading(t, cfg)
	r.write(t, schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32")))
	r.log.next(t, notReloaded, "no Buf")
	r.want(t, "text")
}

func TestWrongBuf(t *testing.T) {
	t.Parallel()
	cfg := withBuf(t)
	cfg.HTTPAddr, cfg.GRPCAddr, cfg.Buf = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "buf")
	if err := daemon.Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "buf: ") {
		t.Errorf("%v", err)
	}

	cfg.Buf, cfg.BufPlugin = withBuf(t).Buf, "false"
	if err := daemon.Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "buf-plugin: ") {
		t.Errorf("%v", err)
	}
}

// elsewhere declares an event type that another file declares too.
// misruled has a rule that can't be compiled.
func misruled() *descriptorpb.FileDescriptorProto {
	file := schematest.Event("notes.v1", "notes", "text string", "count int32")
	file.Dependency = append(file.Dependency, "buf/validate/validate.proto")
	options := new(descriptorpb.FieldOptions)
	proto.SetExtension(options, validate.E_Field, &validate.FieldRules{
		Type: &validate.FieldRules_String_{String_: &validate.StringRules{Pattern: new("(")}},
	})
	file.MessageType[0].Field[0].Options = options
	return file
}

// A server doesn't start with rules that have a mistake: the first event would
// show it.
func TestStartWithWrongRules(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.Schemas = filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "schemas.binpb")
	if err := os.WriteFile(cfg.Schemas, schematest.Image(misruled()), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "schemas: " + cfg.Schemas + ": rules of notes.v1.Noted.text: failed to compile program string.pattern: error parsing regexp: missing closing ): `(`"
	if err := daemon.Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); fmt.Sprint(err) != want {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("it has opened its storage")
	}
}

func elsewhere() *descriptorpb.FileDescriptorProto {
	file := schematest.Event("notes.v1", "", "text string")
	file.Name = new("elsewhere.proto")
	return file
}
