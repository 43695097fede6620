package jetstream

import (
	"encoding/binary"
	"testing"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// BenchmarkAppend stores batches of 26 kB over the loopback interface, in the
// process of the NATS server: what one caller gets, who doesn't wait, and who does.
func BenchmarkAppend(b *testing.B) {
	e, err := Open(b.Context(), Config{URL: natstest.URL(natstest.Start(b)), Log: discard})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	configuration := config(1)
	configuration.Retention = &optionsv1.Retention{MaxBytes: 64 << 20}
	topic, err := e.CreateTopic(b.Context(), "a", configuration)
	if err != nil {
		b.Fatal(err)
	}
	number := uint64(0)
	next := func(b *testing.B, behind engine.Append) engine.Append {
		one := batch("a")
		one.Data = append(one.Data, make([]byte, 26000)...)
		number++
		binary.BigEndian.PutUint64(one.ID[:], number)
		started, err := e.Start(b.Context(), topic, one, behind)
		if err != nil {
			b.Fatal(err)
		}
		return started
	}
	b.Run("waiting", func(b *testing.B) {
		for b.Loop() {
			if _, err := next(b, nil).Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pipelined", func(b *testing.B) {
		var last engine.Append
		for b.Loop() {
			last = next(b, last)
		}
		if _, err := last.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("reading", func(b *testing.B) {
		reader, err := e.Read(b.Context(), topic, engine.ReadFrom{})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { reader.Close() }()
		for b.Loop() {
			record, err := reader.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if !record.More {
				reader.Close()
				if reader, err = e.Read(b.Context(), topic, engine.ReadFrom{}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
