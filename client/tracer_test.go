package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// recorder is a tracer that notes what it is told.
type recorder struct {
	mu   sync.Mutex
	told []string
}

func (r *recorder) notef(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

func (r *recorder) Publish(_ context.Context, topic string, events []*tidingsv1.Event) PublishTrace {
	r.notef("publish %d to %q", len(events), topic)
	return oneTrace{r, ""}
}

func (r *recorder) Handle(ctx context.Context, subscription string, delivery *Delivery) (context.Context, HandleTrace) {
	name := fmt.Sprintf("%s %d", subscription, delivery.GetRecorded().GetSequence())
	r.notef("handle %s", name)
	return context.WithValue(ctx, tracedKey{}, name), oneTrace{r, name}
}

type tracedKey struct{}

type oneTrace struct {
	of   *recorder
	name string
}

func (r oneTrace) TraceContext(index int) (parent, state string) {
	return fmt.Sprintf("00-%032x-%016x-01", 1, index+1), strings.Repeat("vendor=1", index)
}

func (r oneTrace) Done(receipts []Receipt, err error) {
	r.of.notef("done %d %v", len(receipts), err != nil)
}

func (r oneTrace) Handled(err error) { r.of.notef("handled %s %v", r.name, err) }

func (r oneTrace) Settled(result *tidingsv1.SettlementResult) {
	r.of.notef("settled %s %s", r.name, strings.TrimPrefix(result.GetStatus().String(), "SETTLEMENT_STATUS_"))
}

// TestPublishTraces wants events to be sent with the attributes of their trace contexts,
// beside their own, and their tracer to be told the outcome.
func TestPublishTraces(t *testing.T) {
	tracer := new(recorder)
	overProtocols(t, PublisherOptions{Tracer: tracer}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		tracer.told = nil
		var got []string
		server.received = func(_ int, publish *tidingsv1.PublishRequest) error {
			for _, event := range publish.GetEvents() {
				got = append(got, fmt.Sprintf("%s %s %s", event.GetAttributes()["own"], event.GetAttributes()["traceparent"], event.GetAttributes()["tracestate"]))
			}
			return nil
		}
		first, second := textEvent(t, "first"), textEvent(t, "second")
		first.Attributes = map[string]string{"own": "1"}
		second.Id = ""
		if _, err := p.Publish(t.Context(), first, second); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(t.Context(), textEvent(t, "invalid")); err == nil {
			t.Error("an invalid event was taken")
		}
		if want := []string{
			"1 00-00000000000000000000000000000001-0000000000000001-01 ",
			" 00-00000000000000000000000000000001-0000000000000002-01 vendor=1",
			" 00-00000000000000000000000000000001-0000000000000001-01 ",
		}; !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		if len(first.GetAttributes()) != 1 {
			t.Errorf("the caller's event was changed: %v", first)
		}
		if want := []string{`publish 2 to "texts"`, "done 2 false", `publish 1 to "texts"`, "done 0 true"}; !slices.Equal(tracer.told, want) {
			t.Errorf("told %q, want %q", tracer.told, want)
		}
	})
}

// TestConsumeTraces wants a tracer to be told of handlers and settlements, and its context
// to reach the handler.
func TestConsumeTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := new(recorder)
		r := start(t, ConsumerOptions{Tracer: tracer}, func(ctx context.Context, sequence int64) error {
			if got, want := ctx.Value(tracedKey{}), fmt.Sprintf("billing %d", sequence); got != want {
				t.Errorf("the context has %v, want %v", got, want)
			}
			if sequence == 2 {
				return errors.New("no")
			}
			return nil
		})
		call := r.nth(0)
		call.opens()
		call.delivers(1)
		call.answers(applied)
		call.delivers(2)
		call.answers(lost)
		r.expect("result", r.finish(), nil)
		want := []string{
			"handle billing 1", "handle billing 2", "handled billing 1 <nil>", "handled billing 2 no",
			"settled billing 1 APPLIED", "settled billing 2 LEASE_LOST",
		}
		slices.Sort(tracer.told)
		r.expect("told", tracer.told, want)
	})
}
