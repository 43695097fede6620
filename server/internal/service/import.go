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

// importCall is the state of an Import call.
type importCall struct {
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
	i := &importCall{service: s}
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

func (i *importCall) parse(data []byte, j *job) error {
	publish, _, err := unwrap(data)
	if err != nil {
		return err
	}
	b := &j.batch
	j.base = i.received
	if err := parsePublish(publish, b, j.base); err != nil {
		return err
	}
	if !i.began {
		i.given, i.skip = strings.Clone(b.topic), b.skipInvalid
		i.began, i.topic = true, i.given
	}
	if field, description := i.unsuitable(b); field != "" {
		return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, field, description)
	}
	// The topic of the first message holds for all, and so does the one that
	// its events declare.
	if i.topic == "" {
		if i.topic, err = topicOf(i.service.Types(), b.events); err != nil {
			return err
		}
	}
	b.topic, b.skipInvalid = i.topic, i.skip
	i.received += int64(len(b.events))
	return nil
}

// unsuitable returns what of a message isn't for Import, or nothing.
func (i *importCall) unsuitable(b *batch) (field, description string) {
	switch {
	case b.requestID != "":
		return "request_id", "is not for Import"
	case len(b.preconditions) > 0:
		return "preconditions", "are not for Import"
	case b.topic != "" && b.topic != i.given:
		return "topic", "must be that of the first message or empty"
	case b.skipInvalid && !i.skip:
		return "skip_invalid", "must be that of the first message or unset"
	default:
		return "", ""
	}
}

// count adds the response to a message to the summary.
func (i *importCall) count(response *tidingsv1.PublishResponse) {
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
func (i *importCall) stopped(ctx context.Context, err error) error {
	e := *AsError(ctx, i.service.log, err)
	metadata := map[string]string{"stored": strconv.FormatInt(i.summary.GetStoredCount(), 10)}
	maps.Copy(metadata, e.Metadata)
	e.Metadata = metadata
	return &e
}
