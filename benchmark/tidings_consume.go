package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// consumeWindow is the number of events that a consumer has without having
// acknowledged them.
const consumeWindow = 10_000

// errNothingComes is returned where the server has nothing to deliver, though
// not everything has come.
var errNothingComes = errors.New("tidings delivers nothing more")

// consumption is the subscription that a consumer empties.
type consumption struct {
	name string
	// delivered and settled are what was received, and what was said to be
	// acknowledged.
	delivered, settled int
	patient            bool // That nothing comes for a while is no error.
}

// newSubscription makes a subscription to what was written last, from its
// beginning.
func (t *tidings) newSubscription(ctx context.Context) (*consumption, error) {
	return t.subscribe(ctx, &tidingsv1.Subscription{Topic: t.topic})
}

// subscribe makes a subscription, to which it gives a name.
func (t *tidings) subscribe(ctx context.Context, subscription *tidingsv1.Subscription) (*consumption, error) {
	t.subscriptions++
	subscription.Name = fmt.Sprintf("bench-%d", t.subscriptions)
	_, err := tidingsv1.NewSubscriptionServiceClient(t.conn).CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{Subscription: subscription})
	return &consumption{name: subscription.GetName()}, err
}

// end deletes the subscription, and reports whether it was emptied.
func (t *tidings) end(ctx context.Context, c *consumption, err error) error {
	_, deleted := tidingsv1.NewSubscriptionServiceClient(t.conn).DeleteSubscription(ctx, &tidingsv1.DeleteSubscriptionRequest{Name: c.name})
	if err == nil && (c.delivered != len(t.data.events) || c.settled != len(t.data.events)) {
		err = fmt.Errorf("tidings delivered %d and acknowledged %d events of %d", c.delivered, c.settled, len(t.data.events))
	}
	return errors.Join(err, deleted)
}

func openConsume(subscription string) *tidingsv1.ConsumeRequest {
	return &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{
		Subscription: subscription,
		Window:       &tidingsv1.FlowControl{MaxEvents: consumeWindow, MaxBytes: 256 << 20},
	}}}
}

// consumeTyped delivers and acknowledges what was written last with the
// generated client. It acknowledges the deliveries of a frame together.
func (t *tidings) consumeTyped(ctx context.Context) (time.Duration, error) {
	return t.consume(ctx, t.consumeFrames)
}

// consume measures a consumer that empties a subscription of its own to what was written
// last, from its beginning.
func (t *tidings) consume(ctx context.Context, empty func(context.Context, *consumption) error) (time.Duration, error) {
	return t.consumeFrom(ctx, &tidingsv1.Subscription{Topic: t.topic}, empty)
}

func (t *tidings) consumeFrom(ctx context.Context, subscription *tidingsv1.Subscription, empty func(context.Context, *consumption) error) (time.Duration, error) {
	begun := time.Now()
	c, err := t.subscribe(ctx, subscription)
	if err != nil {
		return 0, err
	}
	err = empty(ctx, c)
	elapsed := time.Since(begun)
	return elapsed, t.end(ctx, c, err)
}

func (t *tidings) consumeFrames(ctx context.Context, c *consumption) error {
	return t.consumeStream(ctx, c, len(t.data.events), func(*tidingsv1.Delivery) error { return nil })
}

// consumeStream consumes a number of events, and shows each delivery when it has come.
func (t *tidings) consumeStream(ctx context.Context, c *consumption, events int, came func(*tidingsv1.Delivery) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := tidingsv1.NewConsumerServiceClient(t.conn).Consume(ctx)
	if err != nil {
		return err
	}
	// There are never more batches than deliveries in the window.
	batches := make(chan *tidingsv1.SettlementBatch, consumeWindow)
	return exchange(cancel, func() error {
		if err := stream.Send(openConsume(c.name)); err != nil {
			return err
		}
		for batch := range batches {
			if err := stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{Settle: batch}}); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		defer close(batches)
		for c.settled < events {
			response, err := stream.Recv()
			if err != nil {
				return endOfStream(err)
			}
			if response.GetHeartbeat() != nil && !c.patient {
				return errNothingComes
			}
			for _, delivery := range response.GetDeliveries().GetDeliveries() {
				if err := came(delivery); err != nil {
					return err
				}
			}
			if deliveries := response.GetDeliveries().GetDeliveries(); len(deliveries) > 0 {
				c.delivered += len(deliveries)
				batches <- acknowledge(deliveries)
			}
			for _, result := range response.GetSettled().GetResults() {
				if result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED {
					c.settled++
				}
			}
		}
		return nil
	})
}

func acknowledge(deliveries []*tidingsv1.Delivery) *tidingsv1.SettlementBatch {
	batch := &tidingsv1.SettlementBatch{Settlements: make([]*tidingsv1.Settlement, len(deliveries))}
	for i, d := range deliveries {
		batch.Settlements[i] = &tidingsv1.Settlement{
			DeliveryToken: d.GetDeliveryToken(), Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)},
		}
	}
	return batch
}

// consumeEncoded does the same without decoding the events.
func (t *tidings) consumeEncoded(ctx context.Context) (time.Duration, error) {
	return t.consume(ctx, t.consumeBytes)
}

func (t *tidings) consumeBytes(ctx context.Context, c *consumption) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.raw.NewStream(ctx, bidirectional, tidingsv1.ConsumerService_Consume_FullMethodName)
	if err != nil {
		return err
	}
	opening, err := proto.Marshal(openConsume(c.name))
	if err != nil {
		return err
	}
	batches := make(chan []byte, consumeWindow)
	return exchange(cancel, func() error {
		if err := stream.SendMsg(rawSend{opening}); err != nil {
			return err
		}
		for batch := range batches {
			if err := stream.SendMsg(rawSend{batch}); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		defer close(batches)
		var response rawReceive
		defer response.free()
		for c.settled < len(t.data.events) {
			if err := stream.RecvMsg(&response); err != nil {
				return endOfStream(err)
			}
			batch, err := c.frame(response.bytes())
			if err != nil {
				return err
			}
			if batch != nil {
				batches <- batch
			}
		}
		return nil
	})
}

// frame counts what an encoded ConsumeResponse holds, and returns the encoded
// request that acknowledges its deliveries, nil where there are none.
func (c *consumption) frame(frame []byte) ([]byte, error) {
	var settlements []byte
	ack := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), nil) // Settlement.ack
	// ConsumeResponse.deliveries.deliveries.delivery_token
	err := eachField(frame, 1, func(deliveries []byte) error {
		return eachField(deliveries, 1, func(delivery []byte) error {
			c.delivered++
			return eachField(delivery, 2, func(token []byte) error {
				settlements = protowire.AppendTag(settlements, 1, protowire.BytesType) // SettlementBatch.settlements
				settlements = protowire.AppendVarint(settlements, uint64(1+protowire.SizeBytes(len(token))+len(ack)))
				settlements = protowire.AppendTag(settlements, 1, protowire.BytesType) // Settlement.delivery_token
				settlements = protowire.AppendBytes(settlements, token)
				settlements = append(settlements, ack...)
				return nil
			})
		})
	})
	if err != nil {
		return nil, err
	}
	// ConsumeResponse.heartbeat
	if err := eachField(frame, 5, func([]byte) error { return errNothingComes }); err != nil {
		return nil, err
	}
	applied := []byte{1<<3 | byte(protowire.VarintType), byte(tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED)}
	// ConsumeResponse.settled.results
	err = eachField(frame, 3, func(settled []byte) error {
		return eachField(settled, 2, func(result []byte) error {
			if string(result) == string(applied) {
				c.settled++
			}
			return nil
		})
	})
	if err != nil || settlements == nil {
		return nil, err
	}
	// ConsumeRequest.settle
	return protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), settlements), nil
}
