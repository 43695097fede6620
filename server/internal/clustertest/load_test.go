package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// patience is how long a client waits for an answer, or on a stream for any
	// frame, until it goes to another replica.
	patience = 4 * time.Second
	// heartbeat is how often streams say that they are alive.
	heartbeat = time.Second
	// again is the time between tries.
	again = 50 * time.Millisecond
	// keys is the number of the partition keys.
	keys = 40
	// ackDeadline is how long a consumer has for a delivery.
	ackDeadline = 5 * time.Second
)

// load is clients of all kinds, who go to another replica when one doesn't
// serve, and what they saw.
type load struct {
	t        *testing.T
	replicas []*replica
	topics   []*topicLog
	readers  []*liveReader
	shares   []*sharedWork
	writers  []*writer

	stopping chan struct{} // Closed when nothing more is to be published.
	writing  sync.WaitGroup
	others   sync.WaitGroup // Readers and consumers: they go on until ctx ends.
	stop     context.CancelFunc

	mu     sync.Mutex
	errors map[string]int // How often a call failed how.
}

// The topics, and what the consumers share.
const (
	byRequest = "by-request"
	byEvent   = "by-event"
	backlog   = "backlog"
)

// startLoad creates what there is to write to and to consume, and starts the
// clients. stored is how many events one of the subscriptions begins with.
func startLoad(t *testing.T, replicas []*replica, stored int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: t, replicas: replicas, stopping: make(chan struct{}), stop: stop, errors: make(map[string]int)}
	t.Cleanup(stop)
	for name, dedupe := range map[string]optionsv1.Dedupe{
		byRequest: optionsv1.Dedupe_DEDUPE_REQUEST, byEvent: optionsv1.Dedupe_DEDUPE_EVENT, backlog: optionsv1.Dedupe_DEDUPE_REQUEST,
	} {
		_, err := tidingsv1.NewTopicServiceClient(replicas[0].conn).CreateTopic(ctx,
			&tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Dedupe: dedupe}}})
		if err != nil {
			t.Fatal(err)
		}
		l.topics = append(l.topics, &topicLog{name: name, receipts: make(map[string]int64), sent: make(map[string]bool)})
	}
	l.fill(ctx, stored)
	for _, share := range []struct {
		topic    string
		ordering tidingsv1.Ordering
		pace     time.Duration
	}{
		{byRequest, tidingsv1.Ordering_ORDERING_KEY, 0},
		{byEvent, tidingsv1.Ordering_ORDERING_NONE, 0},
		{backlog, tidingsv1.Ordering_ORDERING_NONE, 200 * time.Millisecond},
	} {
		_, err := tidingsv1.NewSubscriptionServiceClient(replicas[0].conn).CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{
				Name: share.topic, Topic: share.topic, Ordering: share.ordering, AckDeadline: durationpb.New(ackDeadline),
				RetryPolicy: &tidingsv1.RetryPolicy{
					MinBackoff: durationpb.New(100 * time.Millisecond), MaxBackoff: durationpb.New(time.Second), Attempts: &tidingsv1.RetryPolicy_UnlimitedAttempts{UnlimitedAttempts: true},
				},
			},
			Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}},
		})
		if err != nil {
			t.Fatal(err)
		}
		l.shares = append(l.shares, newSharedWork(l, share.topic, share.ordering == tidingsv1.Ordering_ORDERING_KEY, share.pace))
	}
	l.run(ctx)
	return l
}

// run starts the clients.
func (l *load) run(ctx context.Context) {
	for i := range 8 {
		w := &writer{load: l, number: i, topic: l.topic([]string{byRequest, byEvent}[i%2]), seat: seat{own: i, at: i}}
		l.writers = append(l.writers, w)
		l.writing.Go(func() {
			if i < 4 {
				w.writeCalls(ctx)
			} else {
				w.writeStreams(ctx)
			}
		})
	}
	for i, name := range []string{byRequest, byEvent} {
		r := &liveReader{load: l, topic: name, seat: seat{own: i + 1, at: i + 1}}
		l.readers = append(l.readers, r)
		l.others.Go(func() { r.read(ctx) })
	}
	for _, share := range l.shares {
		for i := range members {
			c := &consumer{share: share, seat: seat{own: i, at: i}, pending: make(map[string]*tidingsv1.Settlement)}
			share.consumers = append(share.consumers, c)
			l.others.Go(func() { c.consume(ctx) })
		}
	}
}

// fill stores events in the topic that the consumers are to find full.
func (l *load) fill(ctx context.Context, count int) {
	l.t.Helper()
	topic := l.topic(backlog)
	for first := 0; first < count; first += 500 {
		b := topic.batch(500, func(i int) *tidingsv1.Event { return event(fmt.Sprint("backlog-", first+i)) })
		response, err := l.replicas[0].publisher().Publish(ctx, &tidingsv1.PublishRequest{Topic: backlog, Events: b.events})
		if err != nil {
			l.t.Fatal(err)
		}
		if err := topic.stored(b, response.GetReceipts()); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *load) topic(name string) *topicLog {
	return l.topics[slices.IndexFunc(l.topics, func(t *topicLog) bool { return t.name == name })]
}

// event returns an event of a random key.
func event(id string) *tidingsv1.Event {
	data, err := anypb.New(&ordersv1.OrderCancelled{
		OrderId:     fmt.Sprint("order-", rand.IntN(keys)), //nolint:gosec // Not a secret.
		Reason:      ordersv1.CancellationReason_CANCELLATION_REASON_OUT_OF_STOCK,
		CancelledAt: timestamppb.Now(),
	})
	if err != nil {
		panic(err)
	}
	return &tidingsv1.Event{Id: id, Source: "/clustertest", Data: data}
}

// temporary are the reasons of errors that a client retries while a part of the
// cluster is away.
var temporary = []string{"STORAGE_UNAVAILABLE", "SUBSCRIPTION_UNAVAILABLE", "SERVER_DRAINING", "DEADLINE_EXCEEDED", "CANCELLED"}

// failed counts an error, and complains of one that a client couldn't know to
// retry.
func (l *load) failed(call string, err error) {
	s := status.Convert(err)
	reason := ""
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	l.count(call, s.Code(), reason, s.Message())
}

func (l *load) count(call string, code codes.Code, reason, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprint(call, " ", code, " ", reason)
	l.errors[key]++
	good := slices.Contains(temporary, reason)
	if reason == "" {
		good = slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled}, code)
	}
	if !good && l.errors[key] == 1 {
		l.t.Errorf("%s: %s %s: %s", call, code, reason, message)
	}
}

// finish waits until everything is answered, read and settled, and stops the
// clients.
func (l *load) finish() {
	l.t.Helper()
	close(l.stopping)
	l.writing.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, share := range l.shares {
		share.drain(ctx)
	}
	for _, r := range l.readers {
		r.catchUp(ctx)
	}
	l.stop()
	l.others.Wait()
}

// seat is the replica that a client is at. Each has one of its own, as behind a
// proxy that spreads them, and comes back to it when it had to go elsewhere.
type seat struct {
	own, at int // Not yet bounded.
	moved   time.Time
}

// away is for how long a client stays where it had to go.
const away = 8 * time.Second

func (s *seat) move() {
	s.at++
	s.moved = time.Now()
}

// homesick reports whether the client is to go back to its own replica.
func (s *seat) homesick() bool {
	return s.at%members != s.own%members && time.Since(s.moved) > away
}

func (s *seat) of(replicas []*replica) *replica {
	if s.homesick() {
		s.at = s.own
	}
	return replicas[s.at%members]
}

// pause waits before another try. It reports whether there is to be one.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// pulse is when something was served.
type pulse struct {
	mu    sync.Mutex
	beats []time.Time
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats = append(p.beats, time.Now())
}

// gap is the longest time without service that ended between two moments, or
// lasted at the second.
func (p *pulse) gap(from, to time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := from
	for _, beat := range p.beats {
		switch {
		case beat.Before(from):
		case beat.Before(to):
			longest = max(longest, beat.Sub(last))
			last = beat
		}
	}
	return max(longest, to.Sub(last))
}

// topicLog is what is known of the events of a topic.
type topicLog struct {
	name  string
	pulse pulse

	mu       sync.Mutex
	sent     map[string]bool  // By the ids.
	receipts map[string]int64 // The sequences, by the ids.
	highest  int64            // Of the sequences.
	repeats  int              // Receipts that say duplicate.
}

// batch is the events of a request.
type batch struct {
	events []*tidingsv1.Event
	// after is the highest sequence that was known before it was first sent.
	after int64
}

// batch returns a batch that is to be sent now.
func (t *topicLog) batch(size int, event func(int) *tidingsv1.Event) *batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := &batch{after: t.highest}
	for i := range size {
		e := event(i)
		t.sent[e.GetId()] = true
		b.events = append(b.events, e)
	}
	return b
}

// stored notes the receipts of a batch.
func (t *topicLog) stored(b *batch, receipts []*tidingsv1.Receipt) error {
	t.pulse.beat()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(receipts) != len(b.events) {
		return fmt.Errorf("%s: %d receipts of %d events", t.name, len(receipts), len(b.events))
	}
	var problems []error
	last := b.after
	for i, receipt := range receipts {
		id, sequence := b.events[i].GetId(), receipt.GetSequence()
		if known, ok := t.receipts[id]; ok && (known != sequence || !receipt.GetDuplicate()) {
			problems = append(problems, fmt.Errorf("%s: event %s was stored at %d and has the receipt %v", t.name, id, known, receipt))
		}
		if sequence <= last {
			problems = append(problems, fmt.Errorf("%s: event %s was stored at %d, before or at %d", t.name, id, sequence, last))
		}
		if receipt.GetDuplicate() {
			t.repeats++
		}
		t.receipts[id], last = sequence, sequence
		t.highest = max(t.highest, sequence)
	}
	return errors.Join(problems...)
}
