package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/internal/testserver"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// StartServer builds the server of the checkout at root and starts it with the
// schemas that the clients use. All its files are in dir. The end of ctx ends it.
func StartServer(ctx context.Context, root, dir string) (*testserver.Server, error) {
	binary, err := testserver.Build(ctx, filepath.Join(root, "server"), "tidings", dir)
	if err != nil {
		return nil, err
	}
	schemas := filepath.Join(dir, "schemas.binpb")
	if err := writeSchemas(schemas); err != nil {
		return nil, err
	}
	server, err := testserver.Serve(ctx, exec.CommandContext(ctx, binary, "serve",
		"--data-dir", filepath.Join(dir, "data"), "--schemas", schemas, "--log-level", "warn"))
	if err != nil {
		return nil, fmt.Errorf("the server: %w", err)
	}
	return server, nil
}

// writeSchemas writes the schemas of the values, with all that they import.
func writeSchemas(path string) error {
	set := new(descriptorpb.FileDescriptorSet)
	added := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if added[file.Path()] {
			return
		}
		added[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(conformancev1.File_tidings_conformance_v1_every_kind_proto)
	data, err := proto.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
