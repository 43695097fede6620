package imagejson_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/imagejson"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// An option that the image declares itself is kept, and so is one of the
// contract, which the image leaves out; Buf's own field of a file isn't.
func TestBinary(t *testing.T) {
	const image = `{"file": [
		{"name": "acme/options.proto", "package": "acme", "syntax": "proto3", "dependency": ["google/protobuf/descriptor.proto"],
		 "extension": [{"name": "owner", "jsonName": "owner", "number": 50001, "extendee": ".google.protobuf.MessageOptions", "type": "TYPE_STRING", "label": "LABEL_OPTIONAL"}]},
		{"name": "acme/event.proto", "package": "acme", "syntax": "proto3", "dependency": ["acme/options.proto", "tidings/options/v1/options.proto"],
		 "bufExtension": {"isImport": false},
		 "messageType": [{"name": "Noted", "options": {"[acme.owner]": "billing", "[tidings.options.v1.event]": {"topic": "notes"}}}]}
	]}`
	binary, err := imagejson.Binary([]byte(image))
	if err != nil {
		t.Fatal(err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(binary, set); err != nil {
		t.Fatal(err)
	}
	if len(set.GetFile()) != 2 || len(set.GetFile()[1].ProtoReflect().GetUnknown()) > 0 {
		t.Fatal(set)
	}
	options := set.GetFile()[1].GetMessageType()[0].GetOptions()
	event, _ := proto.GetExtension(options, optionsv1.E_Event).(*optionsv1.EventOptions)
	owner := protowire.AppendString(protowire.AppendTag(nil, 50001, protowire.BytesType), "billing")
	if event.GetTopic() != "notes" || string(options.ProtoReflect().GetUnknown()) != string(owner) {
		t.Errorf("%v", options)
	}
}

func TestBinaryOfRubbish(t *testing.T) {
	for _, text := range []string{"", "{", `{"file": [{"name": 1}]}`, `{"file": [{"name": "a.proto", "dependency": ["b.proto"], "publicDependency": [7]}]}`} {
		if binary, err := imagejson.Binary([]byte(text)); err == nil {
			t.Errorf("%q: %x", text, binary)
		}
	}
}
