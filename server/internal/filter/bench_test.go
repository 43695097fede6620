package filter

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// BenchmarkMatch is the cost of a filter for an event of about 300 bytes.
func BenchmarkMatch(b *testing.B) {
	set := things(b)
	event := &tidingsv1.Event{
		Id: "0197f6c1-7c5e-7a3f-9d51-2a0b7b8d0c11", Source: "https://shop.example/checkout", Subject: "orders/7", PartitionKey: new("7"),
		Time: timestamppb.Now(), Attributes: map[string]string{"region": "eu-west", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	raw := encoded(b, set, event, thing, `{"text":"order-7","number":"4200","words":["a","b","c"],"parts":[{"text":"sku-1","number":"2"}],"at":"2026-03-04T05:06:07Z"}`)
	for _, bench := range []struct {
		name   string
		filter *tidingsv1.EventFilter
	}{
		{"none", nil},
		{"type", &tidingsv1.EventFilter{EventTypes: []string{thing}}},
		{"other type", &tidingsv1.EventFilter{EventTypes: []string{other}}},
		{"attribute", &tidingsv1.EventFilter{Attributes: exactly("subject", "orders/7")}},
		{"attributes", &tidingsv1.EventFilter{Attributes: allOf(beginning("source", "https://shop."), oneOf(exactly("region", "us"), except(exactly("region", "us"))))}},
		{"CEL event", &tidingsv1.EventFilter{Cel: "event.subject.startsWith('orders/')"}},
		{"CEL attribute", &tidingsv1.EventFilter{Cel: "event.attributes['region'] == 'eu-west'"}},
		{"CEL data", &tidingsv1.EventFilter{Cel: "data.number > 1000"}},
		{"CEL data and event", &tidingsv1.EventFilter{Cel: "data.number > 1000 && data.text == 'order-7' && event.subject != ''"}},
		{"CEL loop", &tidingsv1.EventFilter{Cel: "data.parts.exists(p, p.number > 1)"}},
		{"CEL type first", &tidingsv1.EventFilter{EventTypes: []string{other}, Cel: "data.number == 'x'"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m, err := Compile(bench.filter, set, []string{thing})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := Failures()
			for b.Loop() {
				if _, err := m.Match(b.Context(), raw); err != nil || Failures() > before {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(raw)), "bytes/event")
		})
	}
}

// BenchmarkLoop shows that a loop's time grows with its length alone.
func BenchmarkLoop(b *testing.B) {
	set := things(b)
	for _, count := range []int{100, 1000, 10_000} {
		raw := encoded(b, set, bareEvent, thing, `{"words":[`+list(`"a"`, count)+`]}`)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{thing}, Cel: "data.words.all(w, w != 'b')"}, set, nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if holds, err := m.Match(b.Context(), raw); !holds || err != nil {
					b.Fatal(holds, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/element")
		})
	}
}

// BenchmarkCompile is what a call pays that brings a filter.
func BenchmarkCompile(b *testing.B) {
	set := things(b)
	for name, filter := range map[string]*tidingsv1.EventFilter{
		"types":      {EventTypes: []string{thing, other}},
		"attributes": {Attributes: allOf(beginning("source", "https://shop."), except(exactly("region", "us")))},
		"CEL event":  {Cel: "event.subject.startsWith('orders/')"},
		"CEL data":   {EventTypes: []string{thing}, Cel: "data.number > 1000 && data.text == 'order-7'"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(filter, set, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("environment", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := newEnvironment(set); err != nil {
				b.Fatal(err)
			}
		}
	})
}
