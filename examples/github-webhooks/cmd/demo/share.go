package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// subscription is what the workers share.
	subscription = "notifications"
	// ackDeadline is when others get what a killed worker had. It is short, since
	// the demo waits for that; a worker that lives extends it in time.
	ackDeadline = 2 * time.Second
	// eachWithin bounds each thing that is waited for. It is far more than any
	// needs.
	eachWithin = time.Minute
)

// share has workers handle the stored events, kills one of them midway and
// reports. It fails if something was lost, or was handled in a way that it
// shouldn't be.
func share(ctx context.Context, conn grpc.ClientConnInterface, addr, module string, all []*delivery, stdout io.Writer) (err error) {
	client := tidingsv1.NewSubscriptionServiceClient(conn)
	if _, err := client.CreateSubscription(ctx, &tidingsv1.CreateSubscriptionRequest{Subscription: &tidingsv1.Subscription{
		Name:        subscription,
		Topic:       topic,
		Ordering:    tidingsv1.Ordering_ORDERING_KEY,
		AckDeadline: durationpb.New(ackDeadline),
		Paused:      true, // until all workers are there, or the first would have most of it
	}}); err != nil {
		return fmt.Errorf("create the subscription: %w", err)
	}
	w := newWork(all, "worker-1", "worker-2", "worker-3")
	workers, err := startTeam(ctx, module, addr, w.workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, workers.stop()) }()
	lines := readLines(workers.lines, len(w.events)/3)
	if err := w.watch(ctx, client, workers, lines.nth); err != nil {
		return err
	}
	if err := workers.end(); err != nil {
		return err
	}
	if w.lines, err = lines.all(); err != nil {
		return err
	}
	return w.report(stdout)
}

// watch lets the workers begin, kills the one that writes the nth line and waits
// until everything is settled.
func (w *work) watch(ctx context.Context, client tidingsv1.SubscriptionServiceClient, workers *team, nth <-chan string) error {
	if _, err := await(ctx, client, "all workers are there", func(s *tidingsv1.SubscriptionStatistics) bool {
		return int(s.GetConsumers()) == len(w.workers)
	}); err != nil {
		return err
	}
	if _, err := client.UpdateSubscription(ctx, &tidingsv1.UpdateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: subscription, Paused: false},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"paused"}},
	}); err != nil {
		return fmt.Errorf("resume the subscription: %w", err)
	}
	select {
	case w.killed = <-nth:
	case <-time.After(eachWithin):
		return fmt.Errorf("after %v there is no line to kill its worker at", eachWithin)
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := workers.kill(w.killed); err != nil {
		return err
	}
	statistics, err := await(ctx, client, "everything is settled", func(s *tidingsv1.SubscriptionStatistics) bool {
		return s.GetBacklogEvents()+s.GetInFlightEvents()+s.GetRetryingEvents()+s.GetBlockedEvents() == 0
	})
	w.deadLetters = statistics.GetDeadLetteredEvents()
	return err
}

// await waits until the statistics of the subscription show something.
func await(
	ctx context.Context, client tidingsv1.SubscriptionServiceClient, what string, shown func(*tidingsv1.SubscriptionStatistics) bool,
) (*tidingsv1.SubscriptionStatistics, error) {
	ctx, cancel := context.WithTimeout(ctx, eachWithin)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	var last *tidingsv1.SubscriptionStatistics
	for {
		response, err := client.GetSubscription(ctx, &tidingsv1.GetSubscriptionRequest{Name: subscription})
		if err == nil {
			last = response.GetSubscription().GetStatistics()
			if shown(last) {
				return last, nil
			}
		}
		if err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("get the subscription: %w", err)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("until %s: %w; the subscription has %v", what, ctx.Err(), last)
		}
	}
}
