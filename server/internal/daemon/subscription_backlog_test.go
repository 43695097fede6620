package daemon_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/daemon"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// BenchmarkBacklog measures what a subscription costs whose consumers are far
// behind: opening it up to the first delivery, its statistics, seeks, and the
// memory of the server. What it takes must not depend on the backlog.
//
//	go test -run none -bench Backlog -benchtime 20x ./internal/daemon
func BenchmarkBacklog(b *testing.B) {
	for _, test := range []struct {
		name   string
		events int
		dedupe optionsv1.Dedupe
	}{
		{"10000 events, 100 a record", 10_000, optionsv1.Dedupe_DEDUPE_REQUEST},
		{"1000000 events, 100 a record", 1_000_000, optionsv1.Dedupe_DEDUPE_REQUEST},
		{"1000000 events, 1 a record", 1_000_000, optionsv1.Dedupe_DEDUPE_EVENT},
	} {
		b.Run(test.name, func(b *testing.B) {
			cfg := daemon.DefaultConfig()
			cfg.DataDir = b.TempDir()
			server := start(b, cfg)
			middle := publishBacklog(b, server.clients(b), test.events, test.dedupe)
			// A fresh process: what publishing took isn't counted.
			server.end(syscall.SIGTERM)
			server = start(b, cfg)
			m := &backlogMeasure{b: b, clients: server.clients(b), pid: server.Pid(), taken: make(map[string][]float64)}
			m.memory("start-MB")
			for round := 0; b.Loop(); round++ {
				m.round(fmt.Sprint("backlog-", round), test.events, middle)
			}
			m.consume("consumed", tidingsv1.Ordering_ORDERING_NONE, test.events)
			m.memory("consumed-MB")
			m.consume("hot", tidingsv1.Ordering_ORDERING_KEY, test.events)
			m.memory("hot-key-MB")
			b.ReportMetric(0, "ns/op")
			for unit, values := range m.taken {
				slices.Sort(values)
				b.ReportMetric(values[len(values)/2], unit)
			}
		})
	}
}

// middlePosition is a position in the middle of the backlog.
type middlePosition struct {
	sequence int64
	time     *timestamppb.Timestamp
}

// publishBacklog publishes events of which every second one has the same key.
func publishBacklog(b *testing.B, c clients, events int, dedupe optionsv1.Dedupe) (middle middlePosition) {
	b.Helper()
	if _, err := c.topics.CreateTopic(b.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: work, Settings: &optionsv1.TopicSettings{Dedupe: dedupe}}}); err != nil {
		b.Fatal(err)
	}
	const batch, publishers = 100, 8
	var next atomic.Int64
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range publishers {
		wait.Go(func() {
			for {
				first := int(next.Add(batch)) - batch
				if first >= events {
					return
				}
				request := &tidingsv1.PublishRequest{Topic: work}
				for i := first; i < first+batch; i++ {
					request.Events = append(request.Events, keyed(fmt.Sprint(i), i%2*i))
				}
				response, err := c.publisher.Publish(b.Context(), request)
				if err != nil {
					b.Error(err)
					return
				}
				if first == events/2 {
					mu.Lock()
					middle = middlePosition{response.GetReceipts()[0].GetSequence(), timestamppb.Now()}
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	return middle
}

// backlogMeasure gathers figures by their units.
type backlogMeasure struct {
	b       *testing.B
	clients clients
	pid     int
	taken   map[string][]float64
}

func (m *backlogMeasure) time(unit string, f func() error) {
	m.b.Helper()
	begun := time.Now()
	if err := f(); err != nil {
		m.b.Fatalf("%s: %v", unit, err)
	}
	m.taken[unit] = append(m.taken[unit], float64(time.Since(begun).Microseconds())/1000)
}

// memory notes the resident memory of the server, where the system tells it.
func (m *backlogMeasure) memory(unit string) {
	m.b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	if err != nil {
		m.b.Logf("%s is not known on %s: %v", unit, runtime.GOOS, err)
		return
	}
	for line := range strings.Lines(string(content)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				m.b.Fatal(err)
			}
			m.taken[unit] = append(m.taken[unit], float64(kilobytes/1024))
		}
	}
}

func (m *backlogMeasure) create(name string, ordering tidingsv1.Ordering) error {
	_, err := m.clients.subscriptions.CreateSubscription(m.b.Context(), &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: name, Topic: work, Ordering: ordering, AckDeadline: durationpb.New(time.Hour)},
	})
	return err
}

func (m *backlogMeasure) seek(name string, to *tidingsv1.StartPosition) func() error {
	return func() error {
		_, err := m.clients.subscriptions.SeekSubscription(m.b.Context(), &tidingsv1.SeekSubscriptionRequest{Name: name, Position: to})
		return err
	}
}

// round measures everything once, with a subscription of its own.
func (m *backlogMeasure) round(name string, events int, middle middlePosition) {
	m.b.Helper()
	m.time("create-ms", func() error { return m.create(name, tidingsv1.Ordering_ORDERING_NONE) })
	ctx, cancel := context.WithCancel(m.b.Context())
	defer cancel()
	m.time("first-delivery-ms", func() error { return m.first(ctx, name) })
	m.time("statistics-ms", func() error {
		response, err := m.clients.subscriptions.GetSubscription(ctx, &tidingsv1.GetSubscriptionRequest{Name: name})
		got := response.GetSubscription().GetStatistics()
		shown := got.GetBacklogEvents() + got.GetInFlightEvents() + got.GetRetryingEvents()
		if off := shown - int64(events); err == nil && max(off, -off) > int64(events/100) { // It is an estimate.
			err = fmt.Errorf("the statistics show %v, want about %d events", got, events)
		}
		return err
	})
	m.time("seek-earliest-ms", m.seek(name, &tidingsv1.StartPosition{
		Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST},
	}))
	m.time("seek-time-ms", m.seek(name, &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Time{Time: middle.time}}))
	m.time("seek-sequence-ms", m.seek(name, &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Sequence{Sequence: middle.sequence}}))
	m.time("first-after-seek-ms", func() error { return m.first(ctx, name) })
	if _, err := m.clients.subscriptions.DeleteSubscription(ctx, &tidingsv1.DeleteSubscriptionRequest{Name: name}); err != nil {
		m.b.Fatal(err)
	}
}

// first opens a stream and waits for its first delivery.
func (m *backlogMeasure) first(ctx context.Context, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.clients.consumer.Receive(ctx, &tidingsv1.ReceiveRequest{Subscription: name})
	for err == nil {
		var response *tidingsv1.ReceiveResponse
		if response, err = stream.Recv(); len(response.GetDeliveries().GetDeliveries()) > 0 {
			return nil
		}
	}
	return err
}

// consume takes and settles some thousand events. By key, the first event of the
// key that half of them have isn't settled, so that the others block.
func (m *backlogMeasure) consume(name string, ordering tidingsv1.Ordering, events int) {
	m.b.Helper()
	if err := m.create(name, ordering); err != nil {
		m.b.Fatal(err)
	}
	held := false
	for settled := 0; settled < min(events/2-1, 5000); {
		response, err := m.clients.consumer.Pull(m.b.Context(), &tidingsv1.PullRequest{
			Subscription: name, MaxEvents: 1000, MaxWait: durationpb.New(10 * time.Second),
		})
		if err != nil {
			m.b.Fatal(err)
		}
		request := &tidingsv1.SettleRequest{Subscription: name}
		for _, d := range response.GetDeliveries() {
			if ordering == tidingsv1.Ordering_ORDERING_KEY && !held && d.GetRecorded().GetEvent().GetPartitionKey() == "order-0" {
				held = true
				continue
			}
			request.Settlements = append(request.Settlements, ack(d))
		}
		if _, err := m.clients.consumer.Settle(m.b.Context(), request); err != nil {
			m.b.Fatal(err)
		}
		settled += len(request.GetSettlements())
	}
}
