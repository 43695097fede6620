package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	largeTopic = "large"
	// smallTopic is the one that others publish to.
	smallTopic = "small"
	// largeBytes is the content of a large event, which is a record.
	largeBytes = 1_000_000
	// largeCallers is the number of publishers whose calls are timed.
	largeCallers = 4
	// pace is the time between large events where readers follow.
	pace = 200 * time.Millisecond
)

// largeReaders are readers of large records.
type largeReaders struct {
	mode, what string
	count      int
}

// stalledReaders, following and replays measure what readers of large records
// cost others, who publish small events to another topic meanwhile.
func (s *scaling) stalledReaders(ctx context.Context, server *scaleServer) error {
	return s.largeRecords(ctx, server, largeReaders{modeStall, "readers that don't receive", s.cfg.scale.stalled})
}

func (s *scaling) following(ctx context.Context, server *scaleServer) error {
	return s.largeRecords(ctx, server, largeReaders{modeFollow, fmt.Sprintf("readers that follow, a record each %v", pace), s.cfg.scale.replays})
}

func (s *scaling) replays(ctx context.Context, server *scaleServer) error {
	return s.largeRecords(ctx, server, largeReaders{modeReplay, "readers of all, over and over", s.cfg.scale.replays})
}

func (s *scaling) largeRecords(ctx context.Context, server *scaleServer, readers largeReaders) error {
	for _, topic := range []string{largeTopic, smallTopic} {
		if err := server.newTopic(ctx, topic); err != nil {
			return err
		}
	}
	if err := server.publishLarge(ctx, s.cfg.scale.large); err != nil {
		return err
	}
	what := fmt.Sprintf("records of 1 MB, %d %s: ", readers.count, readers.what)
	var c comparison
	for range s.cfg.runs {
		if err := s.compare(ctx, server, readers, &c); err != nil {
			return err
		}
	}
	s.foundf(what+"publishing's p99, without and with", "", "%.1f, %.1f ms", microseconds(median(c.without))/1e3, microseconds(median(c.with))/1e3)
	s.foundf(what+"that is times", "2.0", "%.1f", median(c.ratios))
	s.foundf(what+"memory, without and with", "", "%.0f, %.0f MB", median(c.before), median(c.memory))
	s.foundf(what+"memory of each", "", "%.1f MB", median(c.each))
	if readers.mode != modeStall {
		s.foundf(what+"what they get together", "", "%.0f MB/s", median(c.rate))
	}
	return nil
}

// comparison is what runs found without readers and with them.
type comparison struct {
	without, with        []time.Duration
	ratios               []float64
	before, memory, each []float64
	rate                 []float64
}

// compare times publishing without readers and then with them, who are in a
// process of their own.
func (s *scaling) compare(ctx context.Context, server *scaleServer, readers largeReaders, c *comparison) (err error) {
	// What readers before these took is not to be counted.
	if _, err := server.restart(ctx); err != nil {
		return err
	}
	if _, err := server.timePublishing(ctx); err != nil { // To warm up.
		return err
	}
	without, err := server.timePublishing(ctx)
	if err != nil {
		return err
	}
	before, err := server.process.usage()
	if err != nil {
		return err
	}
	begun := time.Now()
	process, err := startProcess(ctx, "readers", s.self, readersPeer,
		"--addr", server.process.GRPC, "--topic", largeTopic, "--count", fmt.Sprint(readers.count), "--mode", readers.mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	if readers.mode == modeStall { // Once they hold what they will.
		if _, err := server.settled(ctx); err != nil {
			return err
		}
	}
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	paced := make(chan error, 1)
	if readers.mode == modeFollow {
		go func() { paced <- server.publishPaced(publishing) }()
	} else {
		paced <- nil
	}
	with, err := server.timePublishing(ctx)
	stop()
	if err := errors.Join(err, <-paced); err != nil {
		return err
	}
	after, err := server.process.usage()
	if err != nil {
		return err
	}
	elapsed := time.Since(begun)
	if err := process.stop(); err != nil {
		return err
	}
	var bytes int64
	if _, err := fmt.Sscan(process.Output(), &bytes); err != nil {
		return fmt.Errorf("what the readers got: %w", err)
	}
	c.without, c.with = append(c.without, without), append(c.with, with)
	c.ratios = append(c.ratios, with.Seconds()/without.Seconds())
	c.before, c.memory = append(c.before, megabytes(before.memory)), append(c.memory, megabytes(after.memory))
	c.each = append(c.each, megabytes(after.memory-before.memory)/float64(readers.count))
	c.rate = append(c.rate, megabytes(bytes)/elapsed.Seconds())
	return nil
}

// timePublishing returns the p99 of calls with one small event.
func (s *scaleServer) timePublishing(ctx context.Context) (time.Duration, error) {
	publisher := tidingsv1.NewPublisherServiceClient(s.typed)
	found, err := latency(ctx, s.cfg.duration, largeCallers, 1<<30, func(ctx context.Context) (func(int) error, func() error, error) {
		return func(int) error {
			event, err := newEvent(int(s.number.Add(1)), 34)
			if err != nil {
				return err
			}
			_, err = publisher.Publish(ctx, &tidingsv1.PublishRequest{Topic: smallTopic, Events: []*tidingsv1.Event{event}})
			return err
		}, func() error { return nil }, nil
	})
	return found.p99, err
}

func (s *scaleServer) publishPaced(ctx context.Context) error {
	for ticker := time.NewTicker(pace); ; {
		select {
		case <-ticker.C:
			if err := s.publishLarge(ctx, 1); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			ticker.Stop()
			return nil
		}
	}
}

// publishLarge publishes large events. Their content can't be compressed.
func (s *scaleServer) publishLarge(ctx context.Context, count int) error {
	content := make([]byte, largeBytes)
	random := rand.NewChaCha8([32]byte{})
	for range count {
		_, _ = random.Read(content)
		_, err := tidingsv1.NewPublisherServiceClient(s.typed).Publish(ctx, &tidingsv1.PublishRequest{
			Topic: largeTopic, Events: []*tidingsv1.Event{{
				Id: fmt.Sprintf("large-%d", s.number.Add(1)), Source: "//shop.example/web",
				Data: &anypb.Any{
					TypeUrl: typeURL(bytesOrder),
					Value:   protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), content),
				},
			}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
