package schema

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/eventjson"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// jsonEvents are the kinds of events that BenchmarkJSON takes, in batches of so many.
var jsonEvents = []struct {
	name  string
	make  func(number int) proto.Message
	batch int
}{
	{"order placed", costOrderPlaced, 100},
	{"push of 20 commits", func(number int) proto.Message { return costPush(number, 20) }, 2},
}

// jsonWays are the ways of a batch between JSON and its encoding. Each pair begins
// with the way of the server.
func jsonWays(tb testing.TB, c *transcoding, payload func(number int) proto.Message, batch int) []way {
	tb.Helper()
	request, events := &tidingsv1.PublishRequest{Topic: "orders"}, new(tidingsv1.EventBatch)
	for i := range batch {
		data, err := anypb.New(payload(i))
		if err != nil {
			tb.Fatal(err)
		}
		event := &tidingsv1.Event{Id: fmt.Sprintf("%032d", i), Source: "/shop/checkout", Time: costTime, Data: data}
		request.Events = append(request.Events, event)
		events.Events = append(events.Events, &tidingsv1.RecordedEvent{
			Event: event, Topic: "orders", Sequence: int64(i), Cursor: "AAECAwQFBgcICQoLDA0ODw", PublishTime: costTime,
		})
	}
	text, err := eventjson.Append(nil, request, c.types)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := proto.Marshal(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: events}})
	if err != nil {
		tb.Fatal(err)
	}
	var out []byte
	inOnePass := func(ok bool) error {
		if !ok {
			return errors.New("it doesn't go in one pass")
		}
		return nil
	}
	return []way{
		{"JSON to protobuf, in one pass", func([]byte) (err error) {
			var ok bool
			out, ok = c.wires.AppendWire(out[:0], text, publishRequest)
			return inOnePass(ok)
		}},
		{"JSON to protobuf, by messages", func([]byte) (err error) {
			message := new(tidingsv1.PublishRequest)
			if err := eventjson.Parse(text, message, c.types); err != nil {
				return err
			}
			out, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(out[:0], message)
			return err
		}},
		{"protobuf to JSON, in one pass", func([]byte) (err error) {
			var ok bool
			out, ok = c.wires.AppendJSON(out[:0], encoded, readResponse)
			return inOnePass(ok)
		}},
		{"protobuf to JSON, by messages", func([]byte) (err error) {
			message := new(tidingsv1.ReadResponse)
			if err := proto.Unmarshal(encoded, message); err != nil {
				return err
			}
			out, err = eventjson.Append(out[:0], message, c.types)
			return err
		}},
	}
}

// BenchmarkJSON compares the ways between JSON and encodings. They take turns, and
// the table has, for an event, the medians of the turns.
func BenchmarkJSON(b *testing.B) {
	c := newTranscoding(examples(b))
	var table strings.Builder
	table.WriteString("\n| for an event | ns | allocations | bytes |\n|---|---:|---:|---:|\n")
	for _, event := range jsonEvents {
		ways := jsonWays(b, c, event.make, event.batch)
		times, before, after := make([][]time.Duration, len(ways)), runtime.MemStats{}, runtime.MemStats{}
		allocations, allocated := make([]uint64, len(ways)), make([]uint64, len(ways))
		b.Run(event.name, func(b *testing.B) {
			for b.Loop() {
				for i, w := range ways {
					runtime.ReadMemStats(&before)
					begun := time.Now()
					if err := w.check(nil); err != nil {
						b.Fatal(err)
					}
					times[i] = append(times[i], time.Since(begun)/time.Duration(event.batch))
					runtime.ReadMemStats(&after)
					allocations[i] = (after.Mallocs - before.Mallocs) / uint64(event.batch)
					allocated[i] = (after.TotalAlloc - before.TotalAlloc) / uint64(event.batch)
				}
			}
		})
		for i, w := range ways {
			fmt.Fprintf(&table, "| %s, %s | %d | %d | %d |\n", event.name, w.name, middle(times[i], 2).Nanoseconds(), allocations[i], allocated[i])
		}
	}
	if _, err := os.Stdout.WriteString(table.String()); err != nil {
		b.Fatal(err)
	}
}

// In one pass nothing is allocated, once there is memory.
func TestTranscodingAllocatesNothing(t *testing.T) {
	if poolsForget {
		t.Skip("pools forget")
	}
	c := newTranscoding(examples(t))
	for _, event := range jsonEvents {
		ways := jsonWays(t, c, event.make, event.batch)
		for _, w := range []way{ways[0], ways[2]} {
			if got := testing.AllocsPerRun(20, func() {
				if err := w.check(nil); err != nil {
					t.Fatal(err)
				}
			}); got >= 1 {
				t.Errorf("%s, %s: %.0f allocations", event.name, w.name, got)
			}
		}
	}
}
