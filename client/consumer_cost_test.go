package client

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// supplyCalls deliver the same events in each call, and apply all settlements, without a
// network: what is measured is the Consumer's own.
type supplyCalls struct {
	calls

	frames []*tidingsv1.ConsumeResponse
}

func (s *supplyCalls) consume(context.Context) (duplex[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse], error) {
	stream := &supplyStream{results: make(chan *tidingsv1.ConsumeResponse, maxUnanswered), frames: s.frames}
	stream.results <- &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: &tidingsv1.ConsumeOpened{}}}
	return stream, nil
}

type supplyStream struct {
	frames  []*tidingsv1.ConsumeResponse
	results chan *tidingsv1.ConsumeResponse
	batch   int64
}

func (s *supplyStream) Send(request *tidingsv1.ConsumeRequest) error {
	if batch := request.GetSettle(); batch != nil {
		answer := results(len(batch.GetSettlements()))
		answer.GetSettled().Batch = s.batch
		s.batch++
		s.results <- answer
	}
	return nil
}

func (s *supplyStream) CloseSend() error {
	close(s.results)
	return nil
}

func (s *supplyStream) Recv() (*tidingsv1.ConsumeResponse, error) {
	select {
	case answer, ok := <-s.results:
		if !ok {
			return nil, io.EOF
		}
		return answer, nil
	default:
	}
	if len(s.frames) > 0 {
		frame := s.frames[0]
		s.frames = s.frames[1:]
		return frame, nil
	}
	answer, ok := <-s.results
	if !ok {
		return nil, io.EOF
	}
	return answer, nil
}

// consumeAll has a Consumer handle and settle all that the calls deliver.
func consumeAll(ctx context.Context, calls *supplyCalls, events, concurrency int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settled := 0
	consumer := (&Client{calls: calls}).Consumer("billing", ConsumerOptions{
		Concurrency: concurrency, Window: events,
		Trace: ConsumerTrace{Settled: func(*Delivery, *tidingsv1.Settlement, *tidingsv1.SettlementResult, time.Duration) {
			settled++
			if settled == events {
				cancel()
			}
		}},
	})
	return consumer.Run(ctx, HandleAny(func(context.Context, *Delivery) error { return nil }))
}

// supply are frames with as many deliveries.
func supply(events int) *supplyCalls {
	calls := new(supplyCalls)
	all := deliveries(events).GetDeliveries().GetDeliveries()
	for i := 0; i < events; i += 100 {
		calls.frames = append(calls.frames, &tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{
			Deliveries: &tidingsv1.DeliveryBatch{Deliveries: all[i:min(i+100, events)]},
		}})
	}
	return calls
}

// TestConsumeAllocates counts the allocations for an event, from its delivery to the result
// of its settlement, of which this server makes one.
func TestConsumeAllocates(t *testing.T) {
	const events = 5000
	calls := supply(events)
	allocations := testing.AllocsPerRun(5, func() {
		if err := consumeAll(t.Context(), calls, events, 4); err != nil {
			t.Error(err)
		}
	})
	if allocations/events > 2 { // 1.2, of which one is the server's.
		t.Errorf("%v allocations for %d events", allocations, events)
	}
}

// BenchmarkConsumer handles events by handlers that do nothing; the figures are for an event.
func BenchmarkConsumer(b *testing.B) {
	const events = 10_000
	for _, concurrency := range []int{1, 8} {
		b.Run(fmt.Sprint(concurrency), func(b *testing.B) {
			calls := supply(events)
			b.ReportAllocs()
			for b.Loop() {
				if err := consumeAll(b.Context(), calls, events, concurrency); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
		})
	}
}
