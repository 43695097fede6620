package rpc

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// An event whose type the server has no more is read as JSON all the same, its
// payload as it is, beside one whose type it has.
func TestJSONOfUnknownType(t *testing.T) {
	known, err := anypb.New(&tidingsv1.Receipt{Index: 7})
	if err != nil {
		t.Fatal(err)
	}
	response := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: &tidingsv1.EventBatch{
		Events: []*tidingsv1.RecordedEvent{
			{Event: &tidingsv1.Event{Id: "1", Data: &anypb.Any{TypeUrl: "type.googleapis.com/gone.v1.Gone", Value: []byte{8, 1}}}},
			{Event: &tidingsv1.Event{Id: "2", Data: known}},
		},
	}}}
	c := &jsonCodec{codec: codec{types: func() *schema.Set { return types(t) }}}
	encoded, err := c.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"events":{"events":[` +
		`{"event":{"id":"1","data":{"@type":"type.googleapis.com/gone.v1.Gone","value":"CAE="}}},` +
		`{"event":{"id":"2","data":{"@type":"type.googleapis.com/tidings.v1.Receipt","index":7}}}]}}`
	if string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
	if got := response.GetEvents().GetEvents()[0].GetEvent().GetData().GetValue(); string(got) != "\x08\x01" {
		t.Errorf("the response was changed: %x", got)
	}
}

// types is a set that holds nothing but the contract's options.
func types(t *testing.T) *schema.Set {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
	}}
	image, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
