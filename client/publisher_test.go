package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func TestPublish(t *testing.T) {
	overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		receipts, err := p.Publish(t.Context(), textEvent(t, "a"))
		if err != nil || !slices.Equal(receipts, []Receipt{{"texts", 1, false}}) {
			t.Errorf("one event: %v, %v", receipts, err)
		}
		receipts, err = p.Publish(t.Context(), textEvent(t, "b"), textEvent(t, "c"))
		if err != nil || !slices.Equal(receipts, []Receipt{{"texts", 2, false}, {"texts", 3, false}}) {
			t.Errorf("two events: %v, %v", receipts, err)
		}
		if receipts, err := p.Publish(t.Context()); err != nil || receipts != nil {
			t.Errorf("no event: %v, %v", receipts, err)
		}
		if got := server.contents(); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("stored: %q", got)
		}
	})
}

// TestPublishFromManyGoroutines has as many calls as there can be, of which some are
// refused.
func TestPublishFromManyGoroutines(t *testing.T) {
	overProtocols(t, PublisherOptions{MaxBatchEvents: 7}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		var group sync.WaitGroup
		for caller := range 32 {
			group.Go(func() {
				for i := range 20 {
					if caller%8 == 0 {
						expectRefused(t, p, 1, fmt.Sprintf("x %d %d", caller, i), "invalid")
						expectRefused(t, p, 0, "invalid")
						continue
					}
					receipts, err := p.Publish(t.Context(), textEvent(t, fmt.Sprintf("%d %d", caller, i)))
					if err != nil || len(receipts) != 1 || receipts[0].Duplicate || server.contents()[receipts[0].Sequence-1] != fmt.Sprintf("%d %d", caller, i) {
						t.Errorf("caller %d: %v, %v", caller, receipts, err)
					}
				}
			})
		}
		group.Wait()
		stored := server.contents()
		slices.Sort(stored)
		if len(stored) != 28*20 || len(slices.Compact(stored)) != 28*20 || strings.HasPrefix(stored[0], "x") {
			t.Errorf("%d events are stored", len(stored))
		}
		for _, batch := range server.batches {
			if len(batch) > 7 {
				t.Errorf("a batch of %d events", len(batch))
			}
		}
	})
}

// TestPublishKeepsToLimits shares batches among no more events and bytes than the server
// takes.
func TestPublishKeepsToLimits(t *testing.T) {
	const most = 600
	for _, limits := range []*tidingsv1.Limits{
		{MaxEventsPerRequest: 5, MaxEventsPerDedupeEventRequest: 3},
		{MaxEventsPerRequest: 3, MaxRequestBytes: 1 << 20},
		{MaxEventsPerRequest: 1000, MaxRequestBytes: most},
	} {
		server := &memoryServer{limits: limits}
		c, _ := protocols["Connect"](t, server)
		p := c.Publisher(PublisherOptions{Topic: "texts"})
		if _, err := p.Publish(t.Context(), textEvent(t, "a")); err != nil { // It knows the limits now.
			t.Fatal(err)
		}
		for range 50 {
			p.PublishAsync(t.Context(), textEvent(t, strings.Repeat("b", 50)))
		}
		if err := p.Close(t.Context()); err != nil || len(server.contents()) != 51 || server.calls != 1 {
			t.Errorf("%d events are stored in %d calls, %v", len(server.contents()), server.calls, err)
		}
		for _, batch := range server.batches {
			if few := limits.GetMaxRequestBytes() != most; few && len(batch) > 3 || !few && len(batch) > most/100 {
				t.Errorf("%v: a batch of %d events", limits, len(batch))
			}
		}
	}
}

// expectRefused publishes events of which that with an index is refused.
func expectRefused(t *testing.T, p *Publisher, index int, texts ...string) {
	t.Helper()
	events := make([]*tidingsv1.Event, 0, len(texts))
	for _, text := range texts {
		events = append(events, textEvent(t, text))
	}
	_, err := p.Publish(t.Context(), events...)
	want := []Violation{{fmt.Sprintf("events[%d].data.value", index), "must be valid", ""}}
	if Reason(err) != "EVENT_INVALID" || !slices.Equal(Violations(err), want) || !strings.Contains(err.Error(), want[0].Field+": must be valid") {
		t.Errorf("%q: %v, violations %v", texts, err, Violations(err))
	}
}

// TestPublishEncodesAtOnce changes and reuses an event while it's in flight.
func TestPublishEncodesAtOnce(t *testing.T) {
	overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		event := textEvent(t, "text")
		var results []*Result
		for i := range 100 {
			event.Id, event.Subject = fmt.Sprint(i), strings.Repeat("s", i)
			results = append(results, p.PublishAsync(t.Context(), event))
		}
		event.Id = ""
		for range 3 {
			results = append(results, p.PublishAsync(t.Context(), event))
		}
		if event.GetId() != "" {
			t.Error("the event was changed")
		}
		for i, r := range results {
			receipts, err := r.Get(t.Context())
			if err != nil || len(receipts) != 1 || receipts[0].Sequence != int64(i+1) {
				t.Fatalf("event %d: %v, %v", i, receipts, err)
			}
		}
		for i := range 100 {
			if server.ids[i] != fmt.Sprint(i) {
				t.Errorf("event %d has the id %s", i, server.ids[i])
			}
		}
		given := server.ids[100:]
		slices.Sort(given)
		if len(slices.Compact(given)) != 3 || len(given[0]) < 20 {
			t.Errorf("ids that were given: %q", given)
		}
	})
}

func TestPublishWhatCannotBeEncoded(t *testing.T) {
	overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, _ *memoryServer, _ *fakeConn) {
		bad := textEvent(t, "text")
		bad.Subject = "\xff"
		if _, err := p.Publish(t.Context(), textEvent(t, "a"), bad); err == nil || !strings.Contains(err.Error(), "events[1]") {
			t.Errorf("an event that is no UTF-8: %v", err)
		}
		if _, err := p.Publish(t.Context(), textEvent(t, "b")); err != nil {
			t.Error(err)
		}
	})
}

// TestPublishWithoutTopic shares batches among the events of one type alone.
func TestPublishWithoutTopic(t *testing.T) {
	release := make(chan struct{})
	server := &memoryServer{received: func(number int, publish *tidingsv1.PublishRequest) error {
		if number == 0 {
			<-release
		}
		types := map[string]bool{}
		for _, event := range publish.GetEvents() {
			types[event.GetData().GetTypeUrl()] = true
		}
		if len(types) != 1 || publish.GetTopic() != "" {
			return refuse(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_UNDETERMINED)
		}
		return nil
	}}
	c, _ := protocols["Connect"](t, server)
	p := c.Publisher(PublisherOptions{Linger: time.Hour})
	first := p.PublishAsync(t.Context(), textEvent(t, "first"))
	results := []*Result{first}
	for i := range 10 {
		event := textEvent(t, "text")
		event.Data.TypeUrl = []string{"/a.A", "type.googleapis.com/b.B"}[i%2]
		results = append(results, p.PublishAsync(t.Context(), event))
	}
	close(release)
	for _, r := range results {
		if _, err := r.Get(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(server.batches) != 3 {
		t.Errorf("%d batches, want 3", len(server.batches))
	}
}

// TestPublishBackPressure holds a Publisher to its bound, also while nobody answers.
func TestPublishBackPressure(t *testing.T) {
	const bound = 2000
	overProtocols(t, PublisherOptions{MaxInFlightBytes: bound}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		release := make(chan struct{})
		server.received = func(int, *tidingsv1.PublishRequest) error {
			<-release
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var results []*Result
		for full := false; !full; {
			results = append(results, p.PublishAsync(t.Context(), textEvent(t, "text")))
			p.mu.Lock()
			full = !p.queue.fits(results[0].weight)
			p.mu.Unlock()
		}
		if len(results) < 5 || len(results) > bound/eventOverhead {
			t.Errorf("%d events fit in", len(results))
		}
		gaveUp := make(chan error)
		go func() {
			_, err := p.PublishAsync(ctx, textEvent(t, "no room")).Get(t.Context())
			gaveUp <- err
		}()
		waited := make(chan error)
		go func() {
			_, err := p.PublishAsync(t.Context(), textEvent(t, strings.Repeat("larger than the bound", bound))).Get(t.Context())
			waited <- err
		}()
		awaitState(t, p, func(q *publishQueue) bool { return len(q.waiting) == 2 })
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("a call without room: %v", err)
		}
		close(release)
		for _, r := range results {
			if _, err := r.Get(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := <-waited; err != nil {
			t.Errorf("a call that is larger than the bound: %v", err)
		}
		if got := len(server.contents()); got != len(results)+1 {
			t.Errorf("%d events are stored, want %d", got, len(results)+1)
		}
	})
}

// awaitState waits until what a Publisher holds is as it should be.
func awaitState(t *testing.T, p *Publisher, reached func(q *publishQueue) bool) {
	t.Helper()
	for {
		p.mu.Lock()
		ok := reached(&p.queue)
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("never reached")
		default:
			runtime.Gosched()
		}
	}
}

// TestPublishSecondBatchAtOnce: while one batch is in flight an event is sent at once, and
// while two are, it waits.
func TestPublishSecondBatchAtOnce(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Hour}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		p.mu.Lock()
		p.queue.eager = eager
		p.mu.Unlock()
		release := make(chan struct{})
		server.received = func(int, *tidingsv1.PublishRequest) error {
			<-release
			return nil
		}
		var results []*Result
		for i := range 4 {
			results = append(results, p.PublishAsync(t.Context(), textEvent(t, fmt.Sprint(i))))
			awaitState(t, p, func(q *publishQueue) bool { return len(q.flight) == min(i+1, eager) })
		}
		close(release)
		for _, r := range results {
			if _, err := r.Get(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := server.contents(); !slices.Equal(got, []string{"0", "1", "2", "3"}) || len(server.batches) != 3 {
			t.Errorf("%d batches, stored %q", len(server.batches), got)
		}
	})
}
