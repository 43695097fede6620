package clustertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// calm is for how long there is load before, between and after the faults.
	calm = 4 * time.Second
	// edgePace is the time between the events of a goroutine that publishes.
	edgePace = 20 * time.Millisecond
	// publishing is the number of these for each client.
	publishing = 4
	// edgePatience is the deadline of a unary call: a retry is part of it.
	edgePatience = 30 * time.Second
)

// edgeLoad is clients as programs have them: they know nothing of replicas.
type edgeLoad struct {
	t     *testing.T
	topic *topicLog

	stopping chan struct{} // Closed when nothing more is to be published.
	writing  sync.WaitGroup
	others   sync.WaitGroup // Readers and consumers: they go on until ctx ends.

	unary      atomic.Int64 // Unary calls that failed, retries and all.
	publishers []*client.Publisher
	published  map[string]*pulse // By the protocols.
	consumed   map[string]*pulse

	mu      sync.Mutex
	handled map[string]int32 // The last attempt of each event that a handler got.
	applied map[string]bool  // The events whose ack was applied.
	again   int              // Deliveries of an event that a handler had got before.
	read    []place
	seen    pulse
}

func startEdgeLoad(ctx context.Context, t *testing.T, name string, w *way) *edgeLoad {
	t.Helper()
	l := &edgeLoad{
		t: t, topic: &topicLog{name: name, receipts: make(map[string]int64), sent: make(map[string]bool)}, stopping: make(chan struct{}),
		published: make(map[string]*pulse), consumed: make(map[string]*pulse),
		handled: make(map[string]int32), applied: make(map[string]bool),
	}
	publisher := func(label string, publish func(context.Context, *tidingsv1.Event) ([]*tidingsv1.Receipt, error)) {
		beat := new(pulse)
		l.published[label] = beat
		for i := range publishing {
			l.writing.Go(func() { l.publish(ctx, fmt.Sprint(label, "-", i), beat, publish) })
		}
	}
	for protocol, c := range w.clients {
		p := c.Publisher(client.PublisherOptions{Topic: name})
		l.publishers = append(l.publishers, p)
		publisher("Publisher over "+protocol, func(ctx context.Context, event *tidingsv1.Event) ([]*tidingsv1.Receipt, error) {
			receipts, err := p.Publish(ctx, event)
			var list []*tidingsv1.Receipt
			for _, r := range receipts {
				list = append(list, &tidingsv1.Receipt{Sequence: r.Sequence, Duplicate: r.Duplicate})
			}
			return list, err
		})
		beat := new(pulse)
		l.consumed[protocol] = beat
		consumer := c.Consumer(name, client.ConsumerOptions{Concurrency: 4, Trace: client.ConsumerTrace{Settled: l.settled}})
		l.others.Go(func() {
			if err := consumer.Run(ctx, client.HandleAny(func(_ context.Context, d *client.Delivery) error { return l.take(d, beat) })); err != nil {
				t.Errorf("%s: the consumer over %s: %v", name, protocol, err)
			}
		})
	}
	stub := tidingsv1.NewPublisherServiceClient(w.conn)
	publisher("Publish over gRPC", func(ctx context.Context, event *tidingsv1.Event) ([]*tidingsv1.Receipt, error) {
		ctx, cancel := context.WithTimeout(ctx, edgePatience)
		defer cancel()
		response, err := stub.Publish(ctx, &tidingsv1.PublishRequest{Topic: name, Events: []*tidingsv1.Event{event}})
		if err != nil {
			l.unary.Add(1)
		}
		return response.GetReceipts(), err
	})
	reader := w.clients["gRPC"].Reader(name, client.ReaderOptions{Start: earliest})
	l.others.Go(func() {
		for event, err := range reader.Events(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("%s: the reader: %v", name, err)
				}
				return
			}
			l.mu.Lock()
			l.read = append(l.read, place{event.GetEvent().GetId(), event.GetSequence()})
			l.mu.Unlock()
			l.seen.beat()
		}
	})
	return l
}

// publish publishes an event after another, each until it has its receipt.
func (l *edgeLoad) publish(ctx context.Context, name string, beat *pulse, publish func(context.Context, *tidingsv1.Event) ([]*tidingsv1.Receipt, error)) {
	tick := time.NewTicker(edgePace)
	defer tick.Stop()
	for count := 0; ; count++ {
		select {
		case <-tick.C:
		case <-l.stopping:
			return
		}
		b := l.topic.batch(1, func(int) *tidingsv1.Event { return event(fmt.Sprint(name, "-", count)) })
		for {
			receipts, err := publish(ctx, b.events[0])
			if err == nil {
				if err := l.topic.stored(b, receipts); err != nil {
					l.t.Error(err)
				}
				beat.beat()
				break
			}
			if !client.Retryable(err) || !pause(ctx, again) {
				l.t.Errorf("%s: %s: %v", l.topic.name, name, err)
				return
			}
		}
	}
}

// take handles a delivery.
func (l *edgeLoad) take(d *client.Delivery, beat *pulse) error {
	beat.beat()
	l.mu.Lock()
	defer l.mu.Unlock()
	id := d.GetRecorded().GetEvent().GetId()
	if l.applied[id] {
		l.t.Errorf("%s: %s was delivered although it was settled", l.topic.name, id)
	}
	if last, ok := l.handled[id]; ok {
		l.again++
		if d.GetAttempt() <= last {
			l.t.Errorf("%s: %s came in attempt %d after attempt %d", l.topic.name, id, d.GetAttempt(), last)
		}
	}
	l.handled[id] = d.GetAttempt()
	return nil
}

func (l *edgeLoad) settled(d *client.Delivery, settlement *tidingsv1.Settlement, result *tidingsv1.SettlementResult, _ time.Duration) {
	switch result.GetStatus() {
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED:
		if settlement.GetAck() != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.applied[d.GetRecorded().GetEvent().GetId()] = true
		}
	case tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN:
	default:
		l.t.Errorf("%s: a settlement is %s", l.topic.name, result.GetStatus())
	}
}

// finish waits until everything has its receipt and is acknowledged and read.
func (l *edgeLoad) finish(ctx context.Context, c *cluster) {
	l.t.Helper()
	close(l.stopping)
	l.writing.Wait()
	for _, p := range l.publishers {
		if err := p.Close(ctx); err != nil {
			l.t.Error(err)
		}
	}
	c.await("everything is acknowledged and read", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if events := len(l.topic.receipts); len(l.applied) < events || len(l.read) < events {
			return fmt.Errorf("of %d events %d are acknowledged, %d read", events, len(l.applied), len(l.read))
		}
		return nil
	})
}

// edgeRow is a line of the table.
type edgeRow struct {
	name                      string
	events, delivered, again  int
	lost, doubled, moved      int
	unary                     int64
	killedPublish, killedRead time.Duration
	killedConsume             time.Duration
	drainPublish, drainRead   time.Duration
	drainConsume              time.Duration
}

const edgeHeading = "| balancer | events with receipts | delivered | delivered again | lost | doubled | failed unary calls | kill -9: publish | consume | read | SIGTERM: publish | consume | read |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"

func (r edgeRow) String() string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |", r.name,
		r.events, r.delivered, r.again, r.lost, r.doubled, r.unary,
		r.killedPublish.Seconds(), r.killedConsume.Seconds(), r.killedRead.Seconds(),
		r.drainPublish.Seconds(), r.drainConsume.Seconds(), r.drainRead.Seconds())
}

// gaps are the longest times without service: of the worst protocol, of all consumers
// together, and of the reader.
func (l *edgeLoad) gaps(from, to time.Time) (publish, consume, read time.Duration) {
	for _, p := range l.published {
		publish = max(publish, p.gap(from, to))
	}
	all := new(pulse)
	for _, p := range l.consumed {
		p.mu.Lock()
		all.beats = append(all.beats, p.beats...)
		p.mu.Unlock()
	}
	slices.SortFunc(all.beats, func(a, b time.Time) int { return a.Compare(b) })
	return publish, all.gap(from, to), l.seen.gap(from, to)
}

// strike kills the replica that owns the most, and stops the one that does then.
func (e *edge) strike(t *testing.T, name string, w *way) edgeRow {
	t.Helper()
	topic := "via-" + name
	if name == direct {
		topic = "via-none"
	}
	e.createTopic(t, topic)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := startEdgeLoad(ctx, t, topic, w)
	e.c.await("events flow", func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.applied) < 100 {
			return fmt.Errorf("%d are acknowledged", len(l.applied))
		}
		return nil
	})
	r := edgeRow{name: name}
	fault := func(signal syscall.Signal) (from, to time.Time) {
		pause(ctx, calm)
		victim := e.c.replicas[e.c.owner()]
		from = time.Now()
		took := victim.end(signal)
		t.Logf("%s: %s was gone %s after %s", name, victim.name, took.Round(time.Millisecond), signal)
		pause(ctx, restartAfter)
		victim.start()
		e.c.await(victim.name+" is ready", func(ctx context.Context) error { return ready(ctx, e.c.nats.http, victim) })
		pause(ctx, calm)
		return from, time.Now()
	}
	r.killedPublish, r.killedConsume, r.killedRead = l.gaps(fault(syscall.SIGKILL))
	r.drainPublish, r.drainConsume, r.drainRead = l.gaps(fault(syscall.SIGTERM))
	l.finish(ctx, e.c)
	cancel()
	l.others.Wait()
	stored, err := readAll(t.Context(), e.c.replicas[0], topic)
	if err != nil {
		t.Fatal(err)
	}
	r.lost, r.doubled, r.moved = l.topic.check(stored)
	r.events, r.delivered, r.again, r.unary = len(l.topic.receipts), len(l.handled), l.again, l.unary.Load()
	if r.lost+r.doubled+r.moved > 0 {
		t.Errorf("%d events lost, %d doubled, %d not where their receipts say", r.lost, r.doubled, r.moved)
	}
	if !slices.Equal(stored, l.read) {
		t.Errorf("the reader saw another topic: %d events and %d", len(l.read), len(stored))
	}
	if r.delivered != r.events {
		t.Errorf("%d events have receipts, %d were delivered", r.events, r.delivered)
	}
	t.Logf("%s", r)
	return r
}
