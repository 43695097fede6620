package schema

import (
	"context"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

// FuzzAcceptedIsReadable holds that what Check takes can be decoded by a consumer
// that asks for required fields, be shown in JSON, and comes back from it.
func FuzzAcceptedIsReadable(f *testing.F) {
	set := legacyTypes(f)
	names := []string{"legacy.Old", "legacy.New"}
	id, good := in(1, "i"), in(1, "s")
	for _, seed := range []string{
		id, id + in(2, good), id + in(2), id + group(3, good), id + group(3, good, in(2, id, group(3, in(1, bad)))),
		id + in(6, in(1, "k"), in(2, good)), id + in(6, in(1, bad), in(2, good)), id + in(6, in(2, good), in(1, "k")),
		id + number(4, 1), id + number(4, 9), id + in(5, "\x00\x01"), id + number(5, 1),
		id + in(7, anyOf("legacy.Sub", good)), id + in(7, in(1, "legacy.Sub"), in(2, good)), id + in(7),
		id + in(7, anyOf("google.protobuf.Any", anyOf("google.protobuf.Timestamp", number(1, 1)))),
		id + in(9, in(6, in(1, in(3, "x")))), id + in(9, in(5, in(1, in(1, "k"), in(2, in(3, "x"))))), id + in(9),
		id + in(100, "x") + in(101, number(1, 1)) + in(102, good) + in(103, anyOf("legacy.Sub", good)),
		id + in(101, number(1, 1<<60)), id + in(102), id + number(150, 1), id + group(12, number(1, 1)),
	} {
		f.Add(uint8(0), []byte(seed))
		f.Add(uint8(1), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		checked, err := set.Type(names[int(which)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checked.Check(context.Background(), payload); err != nil {
			return
		}
		message := dynamicpb.NewMessage(checked.Descriptor())
		if err := (proto.UnmarshalOptions{Resolver: set, RecursionLimit: MaxDepth}).Unmarshal(payload, message); err != nil {
			t.Fatalf("a consumer can't decode it: %v", err)
		}
		text, err := protojson.MarshalOptions{Resolver: set}.Marshal(message)
		if err != nil {
			t.Fatalf("it has no form in JSON: %v", err)
		}
		if err := (protojson.UnmarshalOptions{Resolver: set}).Unmarshal(text, dynamicpb.NewMessage(checked.Descriptor())); err != nil {
			t.Fatalf("%s doesn't come back: %v", text, err)
		}
	})
}
