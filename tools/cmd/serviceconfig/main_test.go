package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/buftest"
	"example.com/tidings/tools/internal/schemaimage"
)

func TestConfigIsWhatTheContractSays(t *testing.T) {
	root, binary := buftest.Need(t)
	output := t.TempDir()
	if err := run(t.Context(), []string{"-root", root, "-buf", binary, "-o", output}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{jsonFile, goFile} {
		generated, err := os.ReadFile(filepath.Join(output, name))
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(generated, committed) {
			t.Errorf("%s is not what the contract says: run make generate", name)
		}
	}
}

// A code is retried only if all of its reasons may be, and a method only if it is unary
// and the contract says that it is idempotent.
func TestConfigFollowsTheContract(t *testing.T) {
	root, binary := buftest.Need(t)
	image, err := schemaimage.Contract(t.Context(), binary, root)
	if err != nil {
		t.Fatal(err)
	}
	set, err := schemaimage.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	before := configOf(t, set)
	wantCodes := []string{"INTERNAL", "UNAVAILABLE"}
	if got := before.MethodConfig[0].RetryPolicy.RetryableStatusCodes; !slices.Equal(got, wantCodes) {
		t.Errorf("retried are %q, want %q", got, wantCodes)
	}
	names := func(config serviceConfig) (list []string) {
		for _, name := range config.MethodConfig[0].Name {
			list = append(list, string(name.Service)+"/"+string(name.Method))
		}
		return list
	}
	for name, want := range map[string]bool{
		"tidings.v1.PublisherService/Publish":          true,
		"tidings.v1.ConsumerService/Settle":            true,
		"tidings.v1beta1.SchemaService/RegisterSchema": true,
		"tidings.v1.TopicService/CreateTopic":          false, // Sent again, it is ALREADY_EXISTS.
		"tidings.v1.ConsumerService/Pull":              false, // It leases.
		"tidings.v1.ReaderService/Read":                false, // A stream.
	} {
		if slices.Contains(names(before), name) != want {
			t.Errorf("%s is retried: %t, want %t", name, !want, want)
		}
	}

	// The reason of INTERNAL may not be retried any more, nor Publish.
	for _, file := range set.GetFile() {
		switch file.GetName() {
		case "tidings/v1/error.proto":
			for _, value := range file.GetEnumType()[slices.IndexFunc(file.GetEnumType(), func(e *descriptorpb.EnumDescriptorProto) bool { return e.GetName() == reasonsName })].GetValue() {
				if value.GetName() == "ERROR_REASON_INTERNAL" {
					// The option's number and length, code INTERNAL, RETRY_NEVER.
					value.GetOptions().ProtoReflect().SetUnknown([]byte{0xea, 0xd8, 0x23, 4, 8, 13, 16, 1})
				}
			}
		case "tidings/v1/publisher_service.proto":
			if err := prototext.Unmarshal([]byte("idempotency_level: IDEMPOTENCY_UNKNOWN"), file.GetService()[0].GetMethod()[0].GetOptions()); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := configOf(t, set)
	if got := after.MethodConfig[0].RetryPolicy.RetryableStatusCodes; !slices.Equal(got, []string{"UNAVAILABLE"}) {
		t.Errorf("after the change %q are retried", got)
	}
	if got := names(after); slices.ContainsFunc(got, func(name string) bool { return strings.HasSuffix(name, "/Publish") }) || len(got) != len(names(before))-1 {
		t.Errorf("after the change %q are retried", got)
	}
}

func configOf(t *testing.T, set *descriptorpb.FileDescriptorSet) (config serviceConfig) {
	t.Helper()
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	text, err := generate(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	return config
}
