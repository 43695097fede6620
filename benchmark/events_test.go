package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestDataset(t *testing.T) {
	for _, size := range []int{minEventSize, 264, 350, maxEventSize} {
		data, err := newDataset(300, 100, size)
		if err != nil {
			t.Fatal(err)
		}
		ids := make(map[string]bool)
		for i, encoded := range data.encoded {
			if len(encoded) != size {
				t.Fatalf("event %d has %d bytes, want %d", i, len(encoded), size)
			}
			ids[data.events[i].GetId()] = true
		}
		if len(ids) != 300 || len(data.requests) != 3 {
			t.Errorf("%d ids in %d requests, want 300 in 3", len(ids), len(data.requests))
		}
		for i, encoded := range data.encodedRequests {
			request := new(tidingsv1.PublishRequest)
			if err := proto.Unmarshal(encoded, request); err != nil || !proto.Equal(request, data.requests[i].GetPublish()) {
				t.Errorf("request %d is not the encoded one: %v", i, err)
			}
		}
	}
}

func TestPack(t *testing.T) {
	packed := pack([][]byte{[]byte("one"), {}, make([]byte, 300)})
	if n, err := unpack(packed); n != 3 || err != nil {
		t.Errorf("%d events, %v; want 3", n, err)
	}
	if _, err := unpack(packed[:len(packed)-1]); err == nil {
		t.Error("a message that was cut off has no error")
	}
}

func TestPercentileAndMedian(t *testing.T) {
	sorted := make([]time.Duration, 200)
	for i := range sorted {
		sorted[i] = time.Duration(i + 1)
	}
	if p50, p99 := percentile(sorted, 0.50), percentile(sorted, 0.99); p50 != 100 || p99 != 198 {
		t.Errorf("p50 %d, p99 %d; want 100, 198", p50, p99)
	}
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median %v, want 5", got)
	}
	if got := median([]time.Duration{40, 10, 20, 30}); got != 25 {
		t.Errorf("median %v, want 25", got)
	}
}

func TestThousands(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 999: "999", 1234: "1,230", 99_950: "100,000", 2_436_000: "2,440,000"} {
		if got := thousands(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}
