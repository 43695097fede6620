package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestPublishOverLostConnections breaks connections before and after batches are stored,
// and drains the server, under many calls: nothing is lost, and nothing is there twice.
func TestPublishOverLostConnections(t *testing.T) {
	overProtocols(t, PublisherOptions{MaxBatchEvents: 5}, func(t *testing.T, p *Publisher, server *memoryServer, conns *fakeConn) {
		draining := ending(codes.Unavailable, "SERVER_DRAINING", &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
		server.received = func(number int, _ *tidingsv1.PublishRequest) error {
			switch number % 60 {
			case 20:
				conns.breakAll()
			case 40:
				return draining
			}
			return nil
		}
		server.stored = func(number int, _ *tidingsv1.PublishRequest) error {
			if number%60 == 50 {
				conns.breakAll()
			}
			return nil
		}
		var group sync.WaitGroup
		for caller := range 16 {
			group.Go(func() {
				for i := range 25 {
					text := fmt.Sprintf("%d %d", caller, i)
					events := []*tidingsv1.Event{textEvent(t, text)}
					if caller%4 == 0 {
						events = append(events, textEvent(t, text+" more"))
					}
					receipts, err := p.Publish(t.Context(), events...)
					if err != nil || len(receipts) != len(events) || server.contents()[receipts[0].Sequence-1] != text {
						t.Errorf("%s: %v, %v", text, receipts, err)
					}
				}
			})
		}
		group.Wait()
		stored := server.contents()
		slices.Sort(stored)
		if want := 16*25 + 4*25; len(stored) != want || len(slices.Compact(stored)) != want {
			t.Errorf("%d events are stored, want %d", len(stored), want)
		}
		if server.calls < 3 {
			t.Errorf("only %d calls, so no connection was lost", server.calls)
		}
	})
}

// TestPublishKeepsOrder publishes without waiting, over connections that break.
func TestPublishKeepsOrder(t *testing.T) {
	overProtocols(t, PublisherOptions{MaxBatchEvents: 3}, func(t *testing.T, p *Publisher, server *memoryServer, conns *fakeConn) {
		server.stored = func(number int, _ *tidingsv1.PublishRequest) error {
			if number == 10 || number == 30 {
				conns.breakAll()
			}
			return nil
		}
		var results []*Result
		var want []string
		for i := range 200 {
			text := fmt.Sprintf("%03d", i)
			events := []*tidingsv1.Event{textEvent(t, text)}
			want = append(want, text)
			if i%7%4 == 0 {
				events = append(events, textEvent(t, text+" more"))
				want = append(want, text+" more")
			}
			results = append(results, p.PublishAsync(t.Context(), events...))
		}
		for _, r := range results {
			if _, err := r.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := server.contents(); !slices.Equal(got, want) {
			t.Errorf("stored in the order %q", got)
		}
	})
}

// TestPublishAgain has batches refused for reasons that pass, for less and for more time
// than a Publisher tries.
func TestPublishAgain(t *testing.T) {
	overProtocols(t, PublisherOptions{MaxBatchEvents: 1}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		server.received = func(number int, publish *tidingsv1.PublishRequest) error {
			switch {
			case contentOf(publish.GetEvents()[0]) == "internal":
				return refuse(tidingsv1.ErrorReason_ERROR_REASON_INTERNAL)
			case number == 0:
				return refuse(tidingsv1.ErrorReason_ERROR_REASON_STORAGE_FULL)
			case number == 1:
				return refusal{&tidingsv1.ErrorDetail{
					Reason: tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE, RetryDelay: durationpb.New(time.Millisecond),
				}}
			}
			return nil
		}
		if receipts, err := p.Publish(t.Context(), textEvent(t, "a")); err != nil || receipts[0].Sequence != 1 {
			t.Errorf("refused twice: %v, %v", receipts, err)
		}
		if server.calls != 1 {
			t.Errorf("%d calls", server.calls)
		}
		_, err := p.Publish(t.Context(), textEvent(t, "internal"))
		if Reason(err) != "INTERNAL" || !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("refused always: %v", err)
		}
		if got := len(server.batches); got != 3+maxInternal {
			t.Errorf("%d batches, want %d", got, 3+maxInternal)
		}
	})
}

// TestPublishDividesBatches has one event whose batch is refused as a whole: the others
// of the batch are stored.
func TestPublishDividesBatches(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Hour}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		release := make(chan struct{})
		server.received = func(number int, publish *tidingsv1.PublishRequest) error {
			if number == 0 {
				<-release
			}
			if slices.ContainsFunc(publish.GetEvents(), func(event *tidingsv1.Event) bool { return contentOf(event) == "7" }) {
				return refuse(tidingsv1.ErrorReason_ERROR_REASON_EVENT_ID_CONFLICT)
			}
			if publish.GetTopic() == "elsewhere" {
				return refuse(tidingsv1.ErrorReason_ERROR_REASON_TOPIC_NOT_FOUND)
			}
			return nil
		}
		var results []*Result
		var want []string
		for i := range 21 {
			results = append(results, p.PublishAsync(t.Context(), textEvent(t, fmt.Sprint(i))))
			if i != 7 {
				want = append(want, fmt.Sprint(i))
			}
		}
		close(release)
		for i, r := range results {
			receipts, err := r.Get(t.Context())
			if i == 7 && Reason(err) != "EVENT_ID_CONFLICT" || i != 7 && (err != nil || server.contents()[receipts[0].Sequence-1] != fmt.Sprint(i)) {
				t.Errorf("event %d: %v, %v", i, receipts, err)
			}
		}
		if got := server.contents(); !slices.Equal(got, want) {
			t.Errorf("stored: %q", got)
		}
	})
}

// TestPublishTooLarge has events that the server doesn't take for their size, which ends
// its calls.
func TestPublishTooLarge(t *testing.T) {
	for _, told := range []bool{false, true} { // Whether the Publisher knows the limit.
		for _, withReason := range []bool{false, true} {
			t.Run(fmt.Sprintf("told %v/with reason %v", told, withReason), func(t *testing.T) {
				overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
					publishTooLarge(t, p, server, told, withReason)
				})
			})
		}
	}
}

func publishTooLarge(t *testing.T, p *Publisher, server *memoryServer, told, withReason bool) {
	t.Helper()
	const limit = 1000
	if told {
		server.limits = &tidingsv1.Limits{MaxRequestBytes: limit}
	}
	server.received = func(_ int, publish *tidingsv1.PublishRequest) error {
		size := 0
		for _, event := range publish.GetEvents() {
			size += len(contentOf(event))
		}
		switch {
		case size <= limit:
			return nil
		case withReason:
			return ending(codes.ResourceExhausted, "REQUEST_TOO_LARGE")
		default:
			return &endError{code: codes.ResourceExhausted}
		}
	}
	var group sync.WaitGroup
	for caller := range 16 {
		group.Go(func() {
			for i := range 5 {
				large := caller == 3 && i%2 == 0
				text := fmt.Sprintf("%d %d", caller, i)
				if large {
					text += strings.Repeat("large", limit)
				}
				events := []*tidingsv1.Event{textEvent(t, text)}
				if i == 2 {
					events = append(events, textEvent(t, "more"))
				}
				if _, err := p.Publish(t.Context(), events...); large && (!isTooLarge(err) || Retryable(err)) || !large && err != nil {
					t.Errorf("caller %d, call %d: %v", caller, i, err)
				}
			}
		})
	}
	group.Wait()
	if got, want := len(server.contents()), 16*5-3+15; got != want {
		t.Errorf("%d events are stored, want %d", got, want)
	}
	if told && server.calls != 1 {
		t.Errorf("%d calls", server.calls)
	}
}

// TestPublishRefusedCalls has a server that refuses the call itself permanently.
func TestPublishRefusedCalls(t *testing.T) {
	overProtocols(t, PublisherOptions{}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		var refusing sync.Mutex
		refuses := true
		server.received = func(int, *tidingsv1.PublishRequest) error {
			refusing.Lock()
			defer refusing.Unlock()
			if refuses {
				return ending(codes.PermissionDenied, "PERMISSION_DENIED")
			}
			return nil
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if _, err := p.Publish(t.Context(), textEvent(t, "a")); Reason(err) != "PERMISSION_DENIED" {
					t.Error(err)
				}
			})
		}
		group.Wait()
		refusing.Lock()
		refuses = false
		refusing.Unlock()
		if _, err := p.Publish(t.Context(), textEvent(t, "b")); err != nil {
			t.Error(err)
		}
	})
}

// TestPublishGivesUp ends the contexts of calls whose event was sent, and wasn't.
func TestPublishGivesUp(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Hour}, func(t *testing.T, p *Publisher, server *memoryServer, _ *fakeConn) {
		release, arrived := make(chan struct{}), make(chan struct{}, 10)
		server.received = func(int, *tidingsv1.PublishRequest) error {
			arrived <- struct{}{}
			<-release
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 3)
		publish := func(texts ...string) {
			var events []*tidingsv1.Event
			for _, text := range texts {
				events = append(events, textEvent(t, text))
			}
			_, err := p.Publish(ctx, events...)
			failed <- err
		}
		go publish("sent")
		<-arrived
		kept := p.PublishAsync(ctx, textEvent(t, "kept"))
		go publish("not sent")
		awaitState(t, p, func(q *publishQueue) bool { return len(q.fresh) == 1 && len(q.fresh[0].results) == 2 })
		alsoKept := p.PublishAsync(ctx, textEvent(t, "also kept"))
		cancel()
		unknown := 0
		for range 2 {
			err := <-failed
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if errors.Is(err, ErrOutcomeUnknown) {
				unknown++
			}
		}
		if unknown != 1 {
			t.Errorf("%d outcomes are unknown, want 1", unknown)
		}
		if _, err := kept.Get(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("Get gave up: %v", err)
		}
		if _, err := p.Publish(ctx, textEvent(t, "too late")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		for _, r := range []*Result{kept, alsoKept} {
			if receipts, err := r.Get(t.Context()); err != nil || len(receipts) != 1 {
				t.Errorf("an event that was kept: %v, %v", receipts, err)
			}
			<-r.Done()
		}
		if got := server.contents(); !slices.Equal(got, []string{"sent", "kept", "also kept"}) {
			t.Errorf("stored: %q", got)
		}
	})
}

// TestPublishHoldsOneTopic has the storage of one topic fail while another's works.
func TestPublishHoldsOneTopic(t *testing.T) {
	works := make(chan struct{})
	server := &memoryServer{received: func(_ int, publish *tidingsv1.PublishRequest) error {
		if publish.GetEvents()[0].GetData().GetTypeUrl() != "/a.Failing" {
			return nil
		}
		select {
		case <-works:
			return nil
		default:
			return refuse(tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE)
		}
	}}
	c, _ := protocols["gRPC"](t, server)
	p := c.Publisher(PublisherOptions{})
	var held []*Result
	for range 3 {
		event := textEvent(t, "a")
		event.Data.TypeUrl = "/a.Failing"
		held = append(held, p.PublishAsync(t.Context(), event))
		if _, err := p.Publish(t.Context(), textEvent(t, "b")); err != nil {
			t.Error(err)
		}
	}
	close(works)
	for i, r := range held {
		if receipts, err := r.Get(t.Context()); err != nil || receipts[0].Sequence != int64(i+4) {
			t.Errorf("held event %d: %v, %v", i, receipts, err)
		}
	}
	if err := p.Close(t.Context()); err != nil || server.calls != 1 {
		t.Errorf("%d calls, %v", server.calls, err)
	}
}

// TestPublishDividesNothingDoubtful loses the answer to a batch, which is refused when it
// comes again: its parts, which no server recognises, mustn't be sent.
func TestPublishDividesNothingDoubtful(t *testing.T) {
	overProtocols(t, PublisherOptions{Linger: time.Hour}, func(t *testing.T, p *Publisher, server *memoryServer, conns *fakeConn) {
		release := make(chan struct{})
		server.received = func(number int, _ *tidingsv1.PublishRequest) error {
			switch number {
			case 0:
				<-release
			case 2:
				return refuse(tidingsv1.ErrorReason_ERROR_REASON_EVENT_ID_CONFLICT)
			}
			return nil
		}
		server.stored = func(number int, _ *tidingsv1.PublishRequest) error {
			if number == 1 {
				conns.breakAll()
			}
			return nil
		}
		first := p.PublishAsync(t.Context(), textEvent(t, "first"))
		awaitState(t, p, func(q *publishQueue) bool { return len(q.flight) == 1 })
		var results []*Result
		for i := range 5 {
			results = append(results, p.PublishAsync(t.Context(), textEvent(t, fmt.Sprint(i))))
		}
		close(release)
		if _, err := first.Get(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range results {
			if _, err := r.Get(t.Context()); Reason(err) != "EVENT_ID_CONFLICT" {
				t.Error(err)
			}
		}
		if got := server.contents(); len(got) != 6 || len(server.batches) != 3 {
			t.Errorf("%d batches, stored %q", len(server.batches), got)
		}
	})
}
