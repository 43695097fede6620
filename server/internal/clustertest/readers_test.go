package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// place is an event and where it is.
type place struct {
	id       string
	sequence int64
}

// liveReader reads all of a topic as it comes, and goes on from its cursor at
// another replica.
type liveReader struct {
	load  *load
	topic string
	seat  seat
	pulse pulse

	mu     sync.Mutex
	cursor string
	seen   []place
}

func (r *liveReader) read(ctx context.Context) {
	for {
		err := r.readStream(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errSeat) {
			continue
		}
		r.load.failed("Read", err)
		r.seat.move()
		pause(ctx, again)
	}
}

// readStream reads one stream until it fails.
func (r *liveReader) readStream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	request := &tidingsv1.ReadRequest{Topic: r.topic, Start: earliest, HeartbeatInterval: durationpb.New(heartbeat)}
	if r.cursor != "" {
		request.Start = &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: r.cursor}}
	}
	stream, err := r.seat.of(r.load.replicas).reader().Read(ctx, request)
	if err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		silence.Reset(patience)
		if gap := response.GetGap(); gap != nil {
			r.load.t.Errorf("%s has a gap: %v", r.topic, gap)
		}
		if batch := response.GetEvents().GetEvents(); len(batch) > 0 {
			r.pulse.beat()
			r.take(batch)
			if r.seat.homesick() {
				return errSeat
			}
		}
	}
}

var earliest = &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}}

func (r *liveReader) take(batch []*tidingsv1.RecordedEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range batch {
		r.cursor = e.GetCursor()
		r.seen = append(r.seen, place{e.GetEvent().GetId(), e.GetSequence()})
	}
}

// catchUp waits until all events with a receipt have been seen.
func (r *liveReader) catchUp(ctx context.Context) {
	r.load.t.Helper()
	topic := r.load.topic(r.topic)
	for {
		r.mu.Lock()
		last := place{}
		if len(r.seen) > 0 {
			last = r.seen[len(r.seen)-1]
		}
		r.mu.Unlock()
		if last.sequence >= topic.highest {
			return
		}
		if !pause(ctx, again) {
			r.load.t.Errorf("the live reader of %s is at %d, the topic at %d", r.topic, last.sequence, topic.highest)
			return
		}
	}
}

// readAll reads all of a topic at one replica.
func readAll(ctx context.Context, r *replica, topic string) (list []place, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	stream, err := r.reader().Read(ctx, &tidingsv1.ReadRequest{
		Topic: topic, Start: earliest, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		return nil, err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: reading %s: %w", r.name, topic, err)
		}
		if gap := response.GetGap(); gap != nil {
			return nil, fmt.Errorf("%s: %s has a gap: %v", r.name, topic, gap)
		}
		for _, e := range response.GetEvents().GetEvents() {
			list = append(list, place{e.GetEvent().GetId(), e.GetSequence()})
		}
	}
}

// checkTopics reads every topic at every replica: each event is there once,
// where its receipt says, and nothing else is there.
func (l *load) checkTopics(ctx context.Context) (lost, doubled, moved int) {
	l.t.Helper()
	for _, topic := range l.topics {
		var first []place
		for i, r := range l.replicas {
			stored, err := readAll(ctx, r, topic.name)
			if err != nil {
				l.t.Error(err)
				continue
			}
			if i == 0 {
				first = stored
				a, b, c := topic.check(stored)
				lost, doubled, moved = lost+a, doubled+b, moved+c
			} else if !slices.Equal(first, stored) {
				l.t.Errorf("%s reads another %s than %s: %d events and %d", r.name, topic.name, l.replicas[0].name, len(stored), len(first))
			}
		}
		for _, r := range l.readers {
			if r.topic == topic.name && !slices.Equal(first, r.seen) {
				l.t.Errorf("the live reader saw another %s: %d events and %d", topic.name, len(r.seen), len(first))
			}
		}
	}
	return lost, doubled, moved
}

// check compares what is stored with the receipts.
func (t *topicLog) check(stored []place) (lost, doubled, moved int) {
	there := make(map[string]bool)
	last := int64(0)
	for _, p := range stored {
		if there[p.id] {
			doubled++
		}
		there[p.id] = true
		if p.sequence <= last || t.receipts[p.id] != p.sequence {
			moved++
		}
		last = p.sequence
	}
	for id := range t.receipts {
		if !there[id] {
			lost++
		}
	}
	return lost, doubled, moved
}
