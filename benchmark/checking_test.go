package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// What is compared differs in nothing but what the server checks.
func TestCheckedLess(t *testing.T) {
	cfg := smoke(t)
	data, err := newDataset(200, 100, cfg.size)
	if err != nil {
		t.Fatal(err)
	}
	for i, encoded := range data.encodedRequests {
		less := data.checkedLess
		for _, other := range [][]byte{less.bare[i], less.keyed[i], less.bytes[i]} {
			if len(other) != len(encoded) {
				t.Errorf("a batch has %d bytes, and of another type %d", len(encoded), len(other))
			}
		}
	}
	s, err := startServers(t.Context(), cfg, data)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	order := data.events[0].GetData().GetValue()
	wrapped := func(order []byte) []byte { return asBytes(nil, 1, order) }
	breaksRule, breaksEncoding := []byte{}, []byte{0xff}
	for name, c := range map[string]struct {
		value []byte
		valid bool
	}{
		"shop.orders.v1.OrderPlaced right":     {order, true},
		"shop.orders.v1.OrderPlaced empty":     {breaksRule, false},
		"shop.orders.v1.OrderPlaced malformed": {breaksEncoding, false},
		bareOrder + " right":                   {order, true},
		bareOrder + " empty":                   {breaksRule, true},
		bareOrder + " malformed":               {breaksEncoding, false},
		keyedOrder + " right":                  {asKeyed(order), true},
		keyedOrder + " empty":                  {breaksRule, true},
		keyedOrder + " malformed":              {breaksEncoding, false},
		bytesOrder + " right":                  {wrapped(order), true},
		bytesOrder + " with an empty order":    {wrapped(breaksRule), true},
		bytesOrder + " with a malformed order": {wrapped(breaksEncoding), true},
	} {
		event := proto.CloneOf(data.events[0])
		typeName, _, _ := strings.Cut(name, " ")
		event.Data = &anypb.Any{TypeUrl: typeURL(typeName), Value: c.value}
		response, err := tidingsv1.NewSchemaServiceClient(s.tidings.conn).ValidateEvents(t.Context(),
			&tidingsv1.ValidateEventsRequest{Events: []*tidingsv1.Event{event}})
		if err != nil {
			t.Fatal(err)
		}
		if result := response.GetResults()[0]; result.GetValid() != c.valid {
			t.Errorf("%s: %v", name, result)
		}
	}
}
