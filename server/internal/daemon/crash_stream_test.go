package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// streamTopics are those that the batches of a stream go to in turns.
var streamTopics = []string{"stream-a", "stream-b", "stream-c"}

// What is stored of streams with stop_on_error is a beginning of what was sent,
// over all of their topics, whenever the server is killed, or its storage.
func TestStreamsStoreABeginning(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, storage, sync string
		restartsNATS        bool
	}{
		{"written", "local", daemon.SyncWritten, false},
		{"fsync", "local", daemon.SyncFsync, false},
		{"NATS", "nats", daemon.SyncFsync, false},
		{"NATS ends", "", daemon.SyncFsync, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64() //nolint:gosec // Not a secret.
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // A seed makes a run repeatable.
			cfg := daemon.DefaultConfig()
			cfg.Sync = test.sync
			var nats *natstest.Server
			if test.restartsNATS {
				nats = outside(t)
				cfg.DataDir, cfg.NATSURL = "", natstest.URL(nats)
			} else {
				storages[test.storage](t, &cfg)
			}
			server := start(t, cfg)
			for i, name := range streamTopics {
				settings := &optionsv1.TopicSettings{Dedupe: optionsv1.Dedupe(1 + i%2)}
				if _, err := tidingsv1.NewTopicServiceClient(server.dial(t)).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{
					Topic: &tidingsv1.Topic{Name: name, Settings: settings},
				}); err != nil {
					t.Fatal(err)
				}
			}
			next := 0 // The first batch without a receipt.
			for range crashes {
				kill := next + 1 + random.IntN(200)
				next = streamFrom(t, server, next, func(received int) {
					switch {
					case received != kill:
					case test.restartsNATS:
						nats.End()
						nats.Restart(t)
					default:
						_ = server.Kill()
					}
				})
				if !test.restartsNATS {
					server.end(syscall.SIGKILL)
					server = start(t, cfg)
				}
				stored := streamed(t, server)
				for number, count := range stored {
					if want := number%2 + 1; count != want {
						t.Fatalf("%d events of batch %d of %d, want %d", count, number, len(stored), want)
					}
				}
				if len(stored) < next {
					t.Fatalf("%d batches are stored, %d had receipts", len(stored), next)
				}
				t.Logf("%d batches are stored, %d had receipts", len(stored), next)
			}
		})
	}
}

// streamFrom publishes batches on one stream until the server goes, or ends the
// call after one that isn't known to be stored. It returns the first that has no
// receipt.
func streamFrom(t *testing.T, server *process, first int, received func(next int)) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := tidingsv1.NewPublisherServiceClient(server.dial(t)).PublishStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for number := first; stream.Send(streamBatch(t, number)) == nil; number++ { //nolint:revive // Until the call ends.
		}
	})
	defer sending.Wait()
	defer cancel()
	for next := first; ; next++ {
		response, err := stream.Recv()
		if err != nil {
			t.Logf("batch %d: %v", next, err)
			return next
		}
		if refused := response.GetError(); refused != nil {
			t.Logf("batch %d: %v", next, refused)
			if response, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after it: %v, %v", response, err)
			}
			return next
		}
		received(next + 1)
	}
}

// streamBatch is the batch with a number: every other one has two events.
func streamBatch(t *testing.T, number int) *tidingsv1.PublishStreamRequest {
	t.Helper()
	data, err := anypb.New(&ordersv1.OrderCancelled{
		OrderId: fmt.Sprint(number), Reason: ordersv1.CancellationReason_CANCELLATION_REASON_CUSTOMER_REQUEST, CancelledAt: new(timestamppb.Timestamp),
	})
	if err != nil {
		t.Error(err)
	}
	request := &tidingsv1.PublishRequest{Topic: streamTopics[number%len(streamTopics)]}
	for i := range number%2 + 1 {
		request.Events = append(request.Events, &tidingsv1.Event{Id: fmt.Sprint(number, ".", i), Source: "/stream", Subject: fmt.Sprint(number), Data: data})
	}
	return &tidingsv1.PublishStreamRequest{Publish: request, StopOnError: true}
}

// streamed returns how many events of each batch are stored, from the first one to
// the last that is.
func streamed(t *testing.T, server *process) (counts []int) {
	t.Helper()
	for _, topic := range streamTopics {
		stream, err := tidingsv1.NewReaderServiceClient(server.dial(t)).Read(t.Context(), &tidingsv1.ReadRequest{
			Topic: topic,
			Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for {
			response, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, recorded := range response.GetEvents().GetEvents() {
				number, err := strconv.Atoi(recorded.GetEvent().GetSubject())
				if err != nil {
					t.Fatal(err)
				}
				if missing := number + 1 - len(counts); missing > 0 {
					counts = append(counts, slices.Repeat([]int{0}, missing)...)
				}
				counts[number]++
			}
		}
	}
	return counts
}
