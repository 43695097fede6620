package service

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// An event whose type URL is changed has the bytes that it would have if it had
// been sent so.
func TestSetTypeURL(t *testing.T) {
	const normal = "type.googleapis.com/a.B"
	for name, sent := range map[string]*tidingsv1.Event{
		"least":      {Id: "1", Source: "/s", Data: &anypb.Any{TypeUrl: "a.B", Value: []byte{1, 2}}},
		"no content": {Id: "1", Source: "/s", Data: &anypb.Any{TypeUrl: "/a.B"}},
		"everything": {
			Id: "1", Source: "/s", Subject: "s", Time: timestamppb.Now(), PartitionKey: new("k"),
			Attributes: map[string]string{"x": "1", "y": "2"}, Data: &anypb.Any{TypeUrl: "example.com/x/y/a.B", Value: bytes.Repeat([]byte{7}, 300)},
		},
		"longer than it will be": {Id: "1", Source: "/s", Data: &anypb.Any{TypeUrl: "schemas.example.com/very/far/away/a.B", Value: bytes.Repeat([]byte{7}, 100)}},
	} {
		var b batch
		request, err := proto.MarshalOptions{Deterministic: true}.Marshal(&tidingsv1.PublishRequest{Events: []*tidingsv1.Event{sent}})
		if err != nil {
			t.Fatal(err)
		}
		if err := parseBatch(request, &b, 0); err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(request)
		b.events[0].setTypeURL(normal)
		sent.Data.TypeUrl = normal
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.events[0].raw, want) || b.events[0].typeName() != "a.B" {
			t.Errorf("%s: got %x, want %x", name, b.events[0].raw, want)
		}
		if !bytes.Equal(before, request) {
			t.Errorf("%s: the request has changed", name)
		}
	}
}
