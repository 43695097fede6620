package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/daemon"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	crashes       = 5
	publishers    = 4
	batches       = 400 // Of each publisher.
	batchSize     = 7
	batchesAtOnce = 32
)

// After the server is killed again and again while events are being published,
// and every batch without a receipt is sent again, each event is there once,
// and those of a publisher are in their order.
func TestKilledServerLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		storage string
		dedupe  optionsv1.Dedupe
		sync    string
	}{
		{"written, by request", "local", optionsv1.Dedupe_DEDUPE_REQUEST, daemon.SyncWritten},
		{"fsync, by request", "local", optionsv1.Dedupe_DEDUPE_REQUEST, daemon.SyncFsync},
		{"written, by event", "local", optionsv1.Dedupe_DEDUPE_EVENT, daemon.SyncWritten},
		{"fsync, by event", "local", optionsv1.Dedupe_DEDUPE_EVENT, daemon.SyncFsync},
		{"NATS, by request", "nats", optionsv1.Dedupe_DEDUPE_REQUEST, daemon.SyncFsync},
		{"NATS, by event", "nats", optionsv1.Dedupe_DEDUPE_EVENT, daemon.SyncFsync},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64() //nolint:gosec // Not a secret.
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // A seed makes a run repeatable.
			cfg := daemon.DefaultConfig()
			cfg.Sync = test.sync
			storages[test.storage](t, &cfg)
			server := start(t, cfg)
			_, err := tidingsv1.NewTopicServiceClient(server.dial(t)).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{
				Topic: &tidingsv1.Topic{Name: "crash", Settings: &optionsv1.TopicSettings{Dedupe: test.dedupe}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var next [publishers]int // The first batch of each without a receipt.
			for round := range crashes + 1 {
				var receipts atomic.Int64
				enough := int64(1 + random.IntN(publishers*batches/crashes))
				var once sync.Once
				var wait sync.WaitGroup
				for i := range publishers {
					wait.Go(func() {
						attempts := 1
						if round == crashes {
							attempts = 10 // A storage without enough time asks for a batch again.
						}
						for ; attempts > 0 && next[i] < batches; attempts-- {
							next[i] = publishFrom(t, server, i, next[i], func() {
								if round < crashes && receipts.Add(1) >= enough {
									once.Do(func() { _ = server.Kill() })
								}
							})
						}
					})
				}
				wait.Wait()
				if round < crashes {
					server.end(syscall.SIGKILL)
					server = start(t, cfg)
				}
			}
			for i, first := range next {
				if first != batches {
					t.Fatalf("publisher %d ended before batch %d", i, first)
				}
			}
			checkAll(t, server)
			if code := server.end(syscall.SIGTERM); code != 0 || strings.Contains(server.Output(), "internal error") {
				t.Errorf("exit code %d: %s", code, server.Output())
			}
		})
	}
}

// publishFrom publishes the batches of a publisher until the server goes, and
// returns the first that has no receipt.
func publishFrom(t *testing.T, server *process, publisher, first int, received func()) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := tidingsv1.NewPublisherServiceClient(server.dial(t)).PublishStream(ctx)
	if err != nil {
		return first
	}
	room := make(chan struct{}, batchesAtOnce)
	var wait sync.WaitGroup
	wait.Go(func() {
		for batch := first; batch < batches; batch++ {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if stream.Send(crashBatch(t, publisher, batch)) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	})
	defer wait.Wait()
	defer cancel()
	for {
		response, err := stream.Recv()
		if err != nil {
			if first < batches && errors.Is(err, io.EOF) {
				t.Errorf("publisher %d: the stream ended before batch %d", publisher, first)
			}
			t.Logf("publisher %d, batch %d: %v", publisher, first, err)
			return first
		}
		if e := response.GetError(); e != nil {
			// The storage of a server that is being killed may answer first.
			if e.GetReason() != tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE {
				t.Errorf("publisher %d, batch %d: %v", publisher, first, e)
			}
			t.Logf("publisher %d, batch %d: %v", publisher, first, e)
			return first
		}
		if got := len(response.GetPublished().GetReceipts()); got != batchSize {
			t.Errorf("publisher %d, batch %d: %d receipts", publisher, first, got)
		}
		first++
		<-room
		received()
	}
}

func crashBatch(t *testing.T, publisher, batch int) *tidingsv1.PublishStreamRequest {
	t.Helper()
	request := &tidingsv1.PublishStreamRequest{Publish: &tidingsv1.PublishRequest{Topic: "crash"}}
	for i := range batchSize {
		data, err := anypb.New(&ordersv1.OrderCancelled{
			OrderId:     fmt.Sprintf("order-%d", publisher),
			Reason:      ordersv1.CancellationReason_CANCELLATION_REASON_CUSTOMER_REQUEST,
			CancelledAt: &timestamppb.Timestamp{Seconds: int64(batch*batchSize + i)},
		})
		if err != nil {
			t.Error(err)
		}
		request.Publish.Events = append(request.Publish.Events, &tidingsv1.Event{
			Id:     fmt.Sprint(batch*batchSize + i),
			Source: fmt.Sprintf("/publisher/%d", publisher),
			Data:   data,
		})
	}
	return request
}

// checkAll reads everything and compares it with what was published.
func checkAll(t *testing.T, server *process) {
	t.Helper()
	stream, err := tidingsv1.NewReaderServiceClient(server.dial(t)).Read(t.Context(), &tidingsv1.ReadRequest{
		Topic: "crash",
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := make(map[string]int)
	var before int64
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, recorded := range response.GetEvents().GetEvents() {
			source, id := recorded.GetEvent().GetSource(), recorded.GetEvent().GetId()
			if id != fmt.Sprint(next[source]) {
				t.Fatalf("sequence %d: event %s of %s, want %d", recorded.GetSequence(), id, source, next[source])
			}
			next[source]++
			if recorded.GetSequence() <= before {
				t.Fatalf("sequence %d after %d", recorded.GetSequence(), before)
			}
			before = recorded.GetSequence()
		}
	}
	if len(next) != publishers {
		t.Errorf("events of %d publishers, want %d", len(next), publishers)
	}
	for source, count := range next {
		if count != batches*batchSize {
			t.Errorf("%s: %d events, want %d", source, count, batches*batchSize)
		}
	}
}
