package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestHandlersDecideWhatBecomesOfTheirEvents(t *testing.T) {
	noPaper := errors.New("no paper")
	for want, handle := range map[string]func() error{
		"1 ack":                                       func() error { return nil },
		"1 RETRY (no paper)":                          func() error { return noPaper },
		"1 RETRY (no \uFFFD paper)":                   func() error { return errors.New("no \xff paper") },
		"1 RETRY after 5s (no paper)":                 func() error { return RetryAfter(5*time.Second, noPaper) },
		"1 RETRY after 24h0m0s (no paper)":            func() error { return RetryAfter(48*time.Hour, noPaper) },
		"1 RETRY after 0s (no paper)":                 func() error { return RetryAfter(-time.Second, noPaper) },
		"1 DEAD_LETTER (no paper)":                    func() error { return DeadLetter(noPaper) },
		"1 DEAD_LETTER (order 7: no paper)":           func() error { return fmt.Errorf("order 7: %w", DeadLetter(noPaper)) },
		"1 DROP":                                      func() error { return Drop(nil) },
		"1 RELEASE after 1m0s (no paper)":             func() error { return Release(time.Minute, noPaper) },
		"1 RETRY (panic: no ink)":                     func() error { panic("no ink") },
		"1 RETRY (the handler ended its goroutine)":   func() error { runtime.Goexit(); return nil },
		"1 RETRY (" + strings.Repeat("é", 2048) + ")": func() error { return errors.New(strings.Repeat("é", 5000)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, ConsumerOptions{}, func(context.Context, int64) error { return handle() })
			call := r.nth(0)
			call.opens()
			call.delivers(1)
			r.expect("batch", call.next(), []string{want})
			call.answers(applied)
			r.expect("result", r.finish(), nil)
			if panicked := strings.Contains(want, "panic"); panicked != strings.Contains(r.log.String(), "outcome_test.go") {
				t.Errorf("the log is %s", r.log.String())
			}
		})
	}
	if NackKind(nil) != tidingsv1.NackKind_NACK_KIND_UNSPECIFIED || NackKind(noPaper) != tidingsv1.NackKind_NACK_KIND_RETRY {
		t.Errorf("the kinds are %v and %v", NackKind(nil), NackKind(noPaper))
	}
	if !errors.Is(DeadLetter(noPaper), noPaper) {
		t.Error("the cause of a nack is lost")
	}
}

func TestEventsFindTheirHandlers(t *testing.T) {
	number := Handle(func(_ context.Context, event *wrapperspb.Int64Value, _ *Delivery) error {
		return fmt.Errorf("number %d", event.GetValue())
	})
	text := Handle(func(context.Context, *wrapperspb.StringValue, *Delivery) error { return errors.New("text") })
	other := HandleAny(func(_ context.Context, delivery *Delivery) error {
		return errors.New("other: " + delivery.GetRecorded().GetEvent().GetData().GetTypeUrl())
	})
	broken := deliveryOf(7, "")
	broken.Recorded.Event.Data.Value = []byte{8}
	untyped := deliveryOf(7, "")
	untyped.Recorded.Event.Data.TypeUrl = ""
	for _, test := range []struct {
		handlers []Handler
		delivery *Delivery
		want     string
	}{
		{[]Handler{text, number, other}, deliveryOf(7, ""), "number 7"},
		{[]Handler{text, other}, deliveryOf(7, ""), "other: type.googleapis.com/google.protobuf.Int64Value"},
		{[]Handler{text}, deliveryOf(7, ""), "no handler takes google.protobuf.Int64Value"},
		{[]Handler{number}, untyped, "no handler takes an event without a type"},
		{[]Handler{number, other}, untyped, "other: "},
		{[]Handler{number}, broken, "the payload is no google.protobuf.Int64Value: "},
	} {
		handle, err := route(test.handlers)
		if err != nil {
			t.Fatal(err)
		}
		if err := handle(t.Context(), test.delivery); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestHandleRefusesInterfaces(t *testing.T) {
	defer func() {
		if r := recover(); !strings.Contains(fmt.Sprint(r), "Event is an interface") {
			t.Errorf("got %v", r)
		}
	}()
	Handle(func(context.Context, proto.Message, *Delivery) error { return nil })
}

// memoryInbox is an inbox without a database: what is done is kept with the identities.
type memoryInbox struct{ done map[string]bool }

func (m *memoryInbox) Do(ctx context.Context, source, id string, handle func(context.Context) error) error {
	if m.done[source+" "+id] {
		return nil
	}
	if err := handle(ctx); err != nil {
		return err
	}
	m.done[source+" "+id] = true
	return nil
}

func TestOnce(t *testing.T) {
	calls, fails := 0, errors.New("no paper")
	handler := Once(&memoryInbox{make(map[string]bool)}, Handle(func(_ context.Context, event *wrapperspb.Int64Value, _ *Delivery) error {
		calls++
		if event.GetValue() == 2 {
			return fails
		}
		return nil
	}))
	handle, err := route([]Handler{handler})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := handle(t.Context(), deliveryOf(1, "")); err != nil {
			t.Error(err)
		}
		if err := handle(t.Context(), deliveryOf(2, "")); !errors.Is(err, fails) {
			t.Errorf("got %v", err)
		}
	}
	if calls != 3 {
		t.Errorf("handled %d times, want once and twice", calls)
	}
}
