package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// loads are the rates of the latency suite, in events a second.
var loads = []int{1000, 10_000, 100_000}

// loadLength is for how many times the duration of a row a load lasts.
const loadLength = 3

// latencySuite measures how long events take at rates that are given, whether or not
// the servers keep up. Each time begins when the event was due and not when it was sent.
var latencySuite = suite{"latency", "measure latency at 1,000, 10,000 and 100,000 events a second", 1, func(ctx context.Context, cfg config, progress io.Writer) ([]row, func() error, error) {
	s, err := startBesideYardsticks(ctx, cfg, progress)
	if err != nil {
		return nil, s.stop, err
	}
	var rows []row
	for _, load := range loads {
		of := section{title: thousands(float64(load)) + " events/s", yardstick: "raw", form: loaded}
		raw, tidings := new(loadRow), new(loadRow)
		const toReceipt, toDelivery = "raw NATS, PublishAsync: until the receipt", "raw NATS, pull: until it is delivered"
		add := func(label, against string, measure func(context.Context, time.Duration) (sample, error)) {
			at := ", at " + of.title
			rows = append(rows, row{name: label + at, label: label, section: of, against: against + at, measure: measure})
		}
		add(toReceipt, toReceipt, raw.measure(cfg, load, s.raw.load))
		add("Tidings, client.Publisher: until the receipt", toReceipt, tidings.measure(cfg, load, s.tidings.load))
		add(toDelivery, toDelivery, raw.toDelivery)
		add("Tidings, Consume: until it is delivered", toDelivery, tidings.toDelivery)
	}
	return rows, s.stop, nil
}}

// loader is what a load is put on, to be closed after it.
type loader struct {
	// publish sends the event with a number, without waiting for its receipt, which
	// receipt does then, with the events in their order.
	publish func(number int) error
	receipt func(number int) error
	// consume takes and acknowledges as many events as there are, and says which have come.
	consume func(ctx context.Context, events int, came func(number int)) error
	close   func() error
}

// loadRow is one measurement for two rows: how long events take until their receipt, and
// until they are delivered.
type loadRow struct{ delivered sample }

func (l *loadRow) measure(cfg config, load int, open func(ctx context.Context) (*loader, error)) func(context.Context, time.Duration) (sample, error) {
	return func(ctx context.Context, least time.Duration) (sample, error) {
		events := min(cfg.events, max(1, int(float64(load)*least.Seconds()*loadLength)))
		on, err := open(ctx)
		if err != nil {
			return sample{}, err
		}
		receipts, deliveries, err := on.under(ctx, load, events)
		if err := errors.Join(err, on.close()); err != nil {
			return sample{}, err
		}
		l.delivered = deliveries
		return receipts, nil
	}
}

// toDelivery returns what was measured together with the receipts.
func (l *loadRow) toDelivery(context.Context, time.Duration) (sample, error) { return l.delivered, nil }

// under publishes events at a rate, and times each, from when it was due, until it has its
// receipt and until it is delivered.
func (l *loader) under(ctx context.Context, load, events int) (receipts, deliveries sample, err error) {
	// The pauses between the events take a thread's place.
	processors := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(processors + 1)
	defer runtime.GOMAXPROCS(processors)
	runtime.GC()

	received, delivered := make([]time.Duration, events), make([]time.Duration, events)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan int, events)
	interval := time.Second / time.Duration(load)
	begun := time.Now().Add(10 * time.Millisecond)
	since := func(number int) time.Duration { return time.Since(begun) - time.Duration(number)*interval }
	steps := []func() error{
		func() error {
			defer close(sent)
			return paced(ctx, begun, interval, events, func(number int) error {
				err := l.publish(number)
				if err == nil {
					sent <- number
				}
				return err
			})
		},
		func() error {
			for number := range sent {
				if err := l.receipt(number); err != nil {
					return err
				}
				received[number] = since(number)
			}
			return nil
		},
		func() error {
			came := 0
			err := l.consume(ctx, events, func(number int) {
				if number >= 0 && number < events && delivered[number] == 0 {
					came++
					delivered[number] = since(number)
				}
			})
			if err == nil && came != events {
				err = fmt.Errorf("%d of %d events were delivered", came, events)
			}
			return err
		},
	}
	ended := make(chan error, len(steps))
	for _, step := range steps {
		go func() { ended <- step() }()
	}
	for range steps {
		if failed := <-ended; failed != nil && err == nil {
			err = failed
			cancel()
		}
	}
	elapsed := time.Since(begun)
	return timed(received, elapsed), timed(delivered, elapsed), err
}

// paced does something for each number when it is due, or at once when it is late.
func paced(ctx context.Context, begun time.Time, interval time.Duration, count int, do func(number int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := exactPauses(); err != nil {
		return err
	}
	for number := range count {
		due := begun.Add(time.Duration(number) * interval)
		for left := time.Until(due); left > 0; left = time.Until(due) {
			pause(left)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := do(number); err != nil {
			return err
		}
	}
	return nil
}

func timed(times []time.Duration, elapsed time.Duration) sample {
	slices.Sort(times)
	return sample{
		rate: float64(len(times)) / elapsed.Seconds(), events: len(times),
		p50: percentile(times, 0.50), p99: percentile(times, 0.99), p999: percentile(times, 0.999),
	}
}
