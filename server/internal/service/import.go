package service

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// maxRefusedEvents bounds the refused events that a summary names.
const maxRefusedEvents = 100

// importing is the state of an Import call.
type importing struct {
	service *Service
	summary tidingsv1.ImportResponse
	began   bool
	topic   string
	skip    bool
}

// Import implements tidings.v1.PublisherService.
func (s *Service) Import(ctx context.Context, stream Receiver) (*tidingsv1.ImportResponse, error) {
	i := &importing{service: s}
	var b batch
	// One batch is checked while the one before is being stored.
	var before *publication
	settle := func() error {
		if before == nil {
			return nil
		}
		p := before
		before = nil
		return i.finish(ctx, p)
	}
	for {
		data, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			if err := settle(); err != nil {
				return nil, i.stopped(ctx, err)
			}
			return &i.summary, nil
		}
		var next *publication
		if err == nil {
			next, err = i.begin(ctx, data, &b)
		}
		// What came before is stored, and counted, whatever becomes of this.
		if settleErr := settle(); settleErr != nil {
			return nil, i.stopped(ctx, settleErr)
		}
		if err != nil {
			return nil, i.stopped(ctx, err)
		}
		before = next
		if s.drain.Err() != nil {
			if err := settle(); err != nil {
				return nil, i.stopped(ctx, err)
			}
			return nil, i.stopped(ctx, draining())
		}
	}
}

func (i *importing) begin(ctx context.Context, data []byte, b *batch) (*publication, error) {
	base := i.summary.ReceivedCount
	if err := parseBatch(data, b, base); err != nil {
		return nil, err
	}
	if !i.began {
		i.began, i.topic, i.skip = true, strings.Clone(b.topic), b.skipInvalid
		i.summary.Topic = i.topic
	}
	if b.topic != "" && b.topic != i.topic {
		return nil, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "topic", "must be that of the first message or empty")
	}
	// The topic of the first message holds for all, and so does the one that
	// its events declare.
	b.topic, b.skipInvalid = i.summary.Topic, i.skip
	p, err := i.service.begin(ctx, b, base)
	if err != nil {
		return nil, err
	}
	i.summary.ReceivedCount += int64(len(b.events))
	if p.topic != nil {
		i.summary.Topic = p.topic.Name
	}
	return p, nil
}

func (i *importing) finish(ctx context.Context, p *publication) error {
	response, err := i.service.finish(ctx, p)
	if err != nil {
		return err
	}
	for _, receipt := range response.GetReceipts() {
		if receipt.GetDuplicate() {
			i.summary.DuplicateCount++
		} else {
			i.summary.StoredCount++
		}
		if i.summary.FirstSequence == 0 {
			i.summary.FirstSequence = receipt.GetSequence()
		}
		i.summary.FirstSequence = min(i.summary.FirstSequence, receipt.GetSequence())
		i.summary.LastSequence = max(i.summary.LastSequence, receipt.GetSequence())
	}
	refused := response.GetRefusedEvents()
	i.summary.RefusedCount += int64(len(refused))
	room := maxRefusedEvents - len(i.summary.RefusedEvents)
	i.summary.RefusedEvents = append(i.summary.RefusedEvents, refused[:min(room, len(refused))]...)
	return nil
}

// stopped adds to an error how many events were stored before it.
func (i *importing) stopped(ctx context.Context, err error) error {
	e := *AsError(ctx, i.service.log, err)
	metadata := map[string]string{"stored": strconv.FormatInt(i.summary.StoredCount, 10)}
	for key, value := range e.Metadata {
		metadata[key] = value
	}
	e.Metadata = metadata
	return &e
}
