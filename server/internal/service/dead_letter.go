package service

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/delivery"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/filter"
	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// pageScan bounds the dead letters that are looked at for a page.
const pageScan = 20_000

// deadLetters are those of a subscription that a filter takes.
type deadLetters struct {
	service      *Service
	subscription *engine.Subscription
	filter       *tidingsv1.DeadLetterFilter
	matcher      *filter.Matcher
	redriven     []int64 // Not settled since; sorted.
}

func (s *Service) deadLetters(ctx context.Context, name string, f *tidingsv1.DeadLetterFilter) (*deadLetters, error) {
	subscription, err := s.subscription(ctx, name, "")
	if err != nil {
		return nil, err
	}
	l := &deadLetters{service: s, subscription: subscription, filter: f}
	types := s.Types()
	var config *storagev1.TopicConfig
	if topic, err := s.engine.Topic(ctx, subscription.Config.GetTopic()); err == nil {
		config = topic.Config
	}
	l.matcher, err = filter.Compile(f.GetEvent(), types, filter.TopicTypes(subscription.Config.GetTopic(), config, types))
	if err != nil {
		return nil, filterFault(err, "filter.event")
	}
	l.redriven, err = s.hub.Redriven(ctx, subscription)
	if err != nil {
		return nil, subscriptionFault(err, name)
	}
	return l, nil
}

// each calls visit with every dead letter that the filter takes, from a place
// among them on, until it returns false. looked is called with every place that
// is passed, and ends the walk where it returns false.
func (l *deadLetters) each(ctx context.Context, from uint64, looked func(uint64) bool, visit func(*storagev1.DeadLetterRecord) (bool, error)) error {
	one := func(record engine.DeadLetter) (bool, error) {
		letter, err := delivery.DecodeDeadLetter(record.Data)
		if err != nil {
			return false, err
		}
		takes, err := l.takes(ctx, letter)
		if err != nil {
			return false, err
		}
		if takes {
			if more, err := visit(letter); !more || err != nil {
				return false, err
			}
		}
		return looked(record.Place), nil
	}
	if len(l.filter.GetSequences()) == 0 {
		return l.service.engine.ReadDeadLetters(ctx, l.subscription, from, one)
	}
	var named []engine.DeadLetter
	for _, sequence := range l.filter.GetSequences() {
		record, err := l.service.engine.DeadLetter(ctx, l.subscription, sequence)
		if errors.Is(err, engine.ErrRecordNotFound) || err == nil && record.Place < from {
			continue
		}
		if err != nil {
			return err
		}
		named = append(named, record)
	}
	slices.SortFunc(named, func(a, b engine.DeadLetter) int { return cmp.Compare(a.Place, b.Place) })
	named = slices.CompactFunc(named, func(a, b engine.DeadLetter) bool { return a.Place == b.Place })
	for _, record := range named {
		if more, err := one(record); !more || err != nil {
			return err
		}
	}
	return nil
}

func (l *deadLetters) takes(ctx context.Context, letter *storagev1.DeadLetterRecord) (bool, error) {
	if _, redriven := slices.BinarySearch(l.redriven, letter.GetSequence()); redriven {
		return false, nil
	}
	f, died := l.filter, letter.GetDeadLetterTime().AsTime()
	switch {
	case len(f.GetCauses()) > 0 && !slices.Contains(f.GetCauses(), letter.GetCause()),
		f.GetSince() != nil && died.Before(f.GetSince().AsTime()),
		f.GetBefore() != nil && !died.Before(f.GetBefore().AsTime()):
		return false, nil
	case l.matcher.All():
		return true, nil
	}
	raw, err := proto.Marshal(letter.GetEvent())
	if err != nil {
		return false, err
	}
	return l.matcher.Match(ctx, raw)
}

// ListDeadLetters implements tidings.v1.DeadLetterService.
func (s *Service) ListDeadLetters(ctx context.Context, request *tidingsv1.ListDeadLettersRequest) (*tidingsv1.ListDeadLettersResponse, error) {
	listing, err := letterListing(request)
	if err != nil {
		return nil, err
	}
	from, err := parseLetterToken(listing, request.GetPageToken())
	if err != nil {
		return nil, err
	}
	l, err := s.deadLetters(ctx, request.GetSubscription(), request.GetFilter())
	if err != nil {
		return nil, err
	}
	size := int(pageSize(request.GetPageSize()))
	response := new(tidingsv1.ListDeadLettersResponse)
	bytes, scanned, place := 0, 0, from
	looked := func(passed uint64) bool {
		scanned++
		place = passed + 1
		if len(response.GetDeadLetters()) < size && scanned < pageScan {
			return true
		}
		response.NextPageToken = letterToken(listing, place)
		return false
	}
	err = l.each(ctx, from, looked, func(letter *storagev1.DeadLetterRecord) (bool, error) {
		shown := l.proto(letter)
		bytes += proto.Size(shown)
		if len(response.GetDeadLetters()) > 0 && bytes > maxPageBytes {
			response.NextPageToken = letterToken(listing, place)
			return false, nil
		}
		response.DeadLetters = append(response.DeadLetters, shown)
		return true, nil
	})
	if err != nil {
		return nil, subscriptionFault(err, request.GetSubscription())
	}
	return response, nil
}

func (l *deadLetters) proto(letter *storagev1.DeadLetterRecord) *tidingsv1.DeadLetter {
	return &tidingsv1.DeadLetter{
		Recorded: &tidingsv1.RecordedEvent{
			Event:          letter.GetEvent(),
			Topic:          l.subscription.Config.GetTopic(),
			Sequence:       letter.GetSequence(),
			Cursor:         letter.GetCursor(),
			PublishTime:    letter.GetPublishTime(),
			SchemaRevision: schema.FormatRevision(letter.GetSchemaRevision()),
			Publisher:      letter.GetPublisher(),
		},
		Cause:            letter.GetCause(),
		Attempts:         letter.GetAttempts(),
		LastNackReason:   letter.GetLastNackReason(),
		FirstAttemptTime: letter.GetFirstAttemptTime(),
		DeadLetterTime:   letter.GetDeadLetterTime(),
	}
}

// letterListing says what a request lists, for its page tokens.
func letterListing(request *tidingsv1.ListDeadLettersRequest) (string, error) {
	conditions, err := proto.MarshalOptions{Deterministic: true}.Marshal(request.GetFilter())
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(conditions)
	return fmt.Sprintf("dead letters\x00%s\x00%x\x00", request.GetSubscription(), digest[:8]), nil
}

// letterToken is the page token of a place in a listing.
func letterToken(listing string, place uint64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(listing + strconv.FormatUint(place, 10)))
}

func parseLetterToken(listing, token string) (uint64, error) {
	if token == "" {
		return 1, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	if digits, ok := strings.CutPrefix(string(decoded), listing); ok && err == nil {
		if place, err := strconv.ParseUint(digits, 10, 64); err == nil && letterToken(listing, place) == token {
			return place, nil
		}
	}
	return 0, fieldFault(tidingsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
		"page_token", "must be the next_page_token of a response to the same request")
}

// RedriveDeadLetters implements tidings.v1.DeadLetterService.
func (s *Service) RedriveDeadLetters(ctx context.Context, request *tidingsv1.RedriveDeadLettersRequest) (*tidingsv1.RedriveDeadLettersResponse, error) {
	l, err := s.deadLetters(ctx, request.GetSubscription(), request.GetFilter())
	if err != nil {
		return nil, err
	}
	if _, err := s.attached(ctx, l.subscription); err != nil {
		return nil, err
	}
	response := new(tidingsv1.RedriveDeadLettersResponse)
	err = l.inBatches(ctx, request.GetDryRun(), func(sequences []int64) error {
		if request.GetDryRun() {
			response.RedrivenCount += int64(len(sequences))
			return nil
		}
		if response.GetRemainingCount() > 0 {
			response.RemainingCount += int64(len(sequences))
			return nil
		}
		redriven, remaining, err := s.hub.Redrive(ctx, l.subscription, sequences)
		response.RedrivenCount += redriven
		response.RemainingCount += remaining
		return err
	})
	if err != nil {
		return nil, s.consumeFault(ctx, err, l.subscription)
	}
	return response, nil
}

// PurgeDeadLetters implements tidings.v1.DeadLetterService.
func (s *Service) PurgeDeadLetters(ctx context.Context, request *tidingsv1.PurgeDeadLettersRequest) (*tidingsv1.PurgeDeadLettersResponse, error) {
	l, err := s.deadLetters(ctx, request.GetSubscription(), request.GetFilter())
	if err != nil {
		return nil, err
	}
	response := new(tidingsv1.PurgeDeadLettersResponse)
	err = l.inBatches(ctx, request.GetDryRun(), func(sequences []int64) error {
		if request.GetDryRun() {
			response.PurgedCount += int64(len(sequences))
			return nil
		}
		purged, err := s.hub.Purge(ctx, l.subscription, sequences)
		response.PurgedCount += purged
		return err
	})
	if err != nil {
		return nil, subscriptionFault(err, request.GetSubscription())
	}
	return response, nil
}

// inBatches calls do with the sequences of all dead letters that the filter
// takes, those that died before the call.
func (l *deadLetters) inBatches(ctx context.Context, dry bool, do func([]int64) error) error {
	began := time.Now()
	var batch []int64
	err := l.each(ctx, 1, func(uint64) bool { return true }, func(letter *storagev1.DeadLetterRecord) (bool, error) {
		if !dry && letter.GetDeadLetterTime().AsTime().After(began) {
			return true, nil // It was redriven by this call, and died again.
		}
		batch = append(batch, letter.GetSequence())
		if len(batch) < delivery.MaxDeadLetters {
			return true, nil
		}
		err := do(batch)
		batch = nil
		return true, err
	})
	if err == nil && len(batch) > 0 {
		err = do(batch)
	}
	return err
}

// unusableFilter says what is wrong with the filter of a subscription, which was
// right when it was made.
func (s *Service) unusableFilter(subscription *engine.Subscription) error {
	types := s.Types()
	name := subscription.Config.GetTopic()
	_, err := filter.Compile(subscription.Config.GetFilter(), types, filter.TopicTypes(name, nil, types))
	if err != nil {
		return filterFault(err, "subscription.filter")
	}
	return fieldFault(tidingsv1.ErrorReason_ERROR_REASON_FILTER_INVALID, "subscription.filter",
		"can't be used by the server that delivers")
}
