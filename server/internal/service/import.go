package service

import (
	"context"
	"maps"
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

	// What belongs to the receiving goroutine until it ends.
	began    bool
	given    string // The topic that the first message named, or empty.
	topic    string // The topic of all messages, as far as it is known.
	skip     bool
	received int64
}

// Import implements tidings.v1.PublisherService. It returns while a call of
// stream.Receive may still be waiting; the end of the call ends that.
func (s *Service) Import(ctx context.Context, stream Receiver) (*tidingsv1.ImportResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i := &importing{service: s}
	p := &pipeline{service: s, parse: i.parse}
	err := p.run(ctx, stream)
	if err == nil {
		err = p.each(ctx, func(response *tidingsv1.PublishResponse, err error) error {
			if err == nil {
				i.count(response)
			}
			return err
		})
	}
	if err != nil {
		return nil, i.stopped(ctx, err)
	}
	i.summary.ReceivedCount = i.received
	return &i.summary, nil
}

func (i *importing) parse(data []byte, b *batch) (base int64, err error) {
	base = i.received
	publish, _, err := unwrap(data)
	if err != nil {
		return 0, err
	}
	if err := parseBatch(publish, b, base); err != nil {
		return 0, err
	}
	if b.requestID != "" || len(b.preconditions) > 0 {
		return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "publish", "request_id and preconditions are not for Import")
	}
	if !i.began {
		i.given, i.skip = strings.Clone(b.topic), b.skipInvalid
		i.began, i.topic = true, i.given
	}
	if b.topic != "" && b.topic != i.given {
		return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "topic", "must be that of the first message or empty")
	}
	// The topic of the first message holds for all, and so does the one that
	// its events declare.
	if i.topic == "" {
		if i.topic, err = topicOf(i.service.Types(), b.events); err != nil {
			return 0, err
		}
	}
	b.topic, b.skipInvalid = i.topic, i.skip
	i.received += int64(len(b.events))
	return base, nil
}

// count adds the response to a message to the summary.
func (i *importing) count(response *tidingsv1.PublishResponse) {
	if topic := response.GetTopic(); topic != "" {
		i.summary.Topic = topic
	}
	for _, receipt := range response.GetReceipts() {
		if receipt.GetDuplicate() {
			i.summary.DuplicateCount++
		} else {
			i.summary.StoredCount++
		}
		if i.summary.GetFirstSequence() == 0 {
			i.summary.FirstSequence = receipt.GetSequence()
		}
		i.summary.FirstSequence = min(i.summary.GetFirstSequence(), receipt.GetSequence())
		i.summary.LastSequence = max(i.summary.GetLastSequence(), receipt.GetSequence())
	}
	refused := response.GetRefusedEvents()
	i.summary.RefusedCount += int64(len(refused))
	room := maxRefusedEvents - len(i.summary.GetRefusedEvents())
	i.summary.RefusedEvents = append(i.summary.RefusedEvents, refused[:min(room, len(refused))]...)
}

// stopped adds to an error how many events were stored before it.
func (i *importing) stopped(ctx context.Context, err error) error {
	e := *AsError(ctx, i.service.log, err)
	metadata := map[string]string{"stored": strconv.FormatInt(i.summary.GetStoredCount(), 10)}
	maps.Copy(metadata, e.Metadata)
	e.Metadata = metadata
	return &e
}
