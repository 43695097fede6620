package rpc

import (
	"testing"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// ackSeeds are requests in their usual encoding, and whether they are acknowledgements
// alone.
func ackSeeds(tb testing.TB) map[string]bool {
	tb.Helper()
	ack := func(token string) *tidingsv1.Settlement {
		return &tidingsv1.Settlement{DeliveryToken: token, Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}}
	}
	nack := &tidingsv1.Settlement{DeliveryToken: "a", Action: &tidingsv1.Settlement_Nack{Nack: new(tidingsv1.Nack)}}
	long := string(make([]byte, 128))
	seeds := make(map[string]bool)
	for _, seed := range []struct {
		settlements []*tidingsv1.Settlement
		acks        bool
	}{
		{[]*tidingsv1.Settlement{ack("a")}, true},
		{[]*tidingsv1.Settlement{ack("a"), ack(long[1:]), ack("ä")}, true},
		{nil, false},
		{[]*tidingsv1.Settlement{ack("")}, false}, // proto3 doesn't encode it.
		{[]*tidingsv1.Settlement{ack("a"), ack(long)}, false},
		{[]*tidingsv1.Settlement{ack("a"), nack}, false},
		{[]*tidingsv1.Settlement{{DeliveryToken: "a"}}, false},
	} {
		encoded, err := proto.Marshal(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
			Settle: &tidingsv1.SettlementBatch{Settlements: seed.settlements},
		}})
		if err != nil {
			tb.Fatal(err)
		}
		seeds[string(encoded)] = seed.acks
	}
	for _, other := range []string{
		"",
		"\x12\x05\x0a\x03\x0a\x01a\x12\x00",    // Cut off.
		"\x12\x07\x0a\x05\x0a\x01\xff\x12\x00", // Not UTF-8.
		"\x12\x07\x0a\x05\x0a\x01a\x12\x00\x12\x00",          // In two parts.
		"\x12\x00\x12\x07\x0a\x05\x0a\x01a\x12\x00",          // In two parts.
		"\x12\x09\x0a\x07\x0a\x01a\x12\x02\x08\x01",          // A field of Ack that isn't known.
		"\x12\x07\x0a\x05\x12\x00\x0a\x01a",                  // In another order.
		"\x12\x07\x12\x05\x0a\x01a\x12\x00",                  // Of another field.
		"\x0a\x07\x0a\x05\x0a\x01a\x12\x00",                  // Of another field.
		"\x12\x07\x0a\x05\x0a\x01a\x12\x00\x0a\x03\x0a\x01a", // And another field.
	} {
		seeds[other] = false
	}
	return seeds
}

func TestDecodeAcks(t *testing.T) {
	for encoded, want := range ackSeeds(t) {
		if got := decodeAcks([]byte(encoded), new(tidingsv1.ConsumeRequest)); got != want {
			t.Errorf("%q: %v, want %v", encoded, got, want)
		}
	}
}

// TestDecodeAcksAllocatesLittle: as much for a thousand acknowledgements as for one.
func TestDecodeAcksAllocatesLittle(t *testing.T) {
	batch := new(tidingsv1.SettlementBatch)
	for range 1000 {
		batch.Settlements = append(batch.Settlements, &tidingsv1.Settlement{DeliveryToken: "token", Action: plainAck})
	}
	encoded, err := proto.Marshal(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: batch}})
	if err != nil {
		t.Fatal(err)
	}
	const most = 8
	if got := testing.AllocsPerRun(100, func() { decodeAcks(encoded, new(tidingsv1.ConsumeRequest)) }); got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}

// FuzzDecodeAcks: what it reads is what protobuf's own library reads.
func FuzzDecodeAcks(f *testing.F) {
	for encoded := range ackSeeds(f) {
		f.Add([]byte(encoded))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want tidingsv1.ConsumeRequest
		if !decodeAcks(data, &got) {
			return
		}
		if err := proto.Unmarshal(data, &want); err != nil || !proto.Equal(&got, &want) {
			t.Errorf("%q: %v, want %v, %v", data, &got, &want, err)
		}
	})
}
