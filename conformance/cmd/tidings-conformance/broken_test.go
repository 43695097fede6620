package main

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"example.com/tidings/conformance/internal/run"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestBrokenServers runs cases against servers that are broken in one way, and
// wants those to fail that are about it, and no others.
func TestBrokenServers(t *testing.T) {
	all, behind := loadCases(t), startServer(t)
	for name, test := range map[string]struct {
		fault fault
		run   string
		want  []string
	}{
		"wrong code": {
			new(wrongCode), "tidings.v1.TopicService/*",
			[]string{"tidings.v1.TopicService/DeleteTopic/deleted"},
		},
		"lost detail": {
			new(lostDetail), "tidings.v1.ReaderService/GetEvent/*",
			[]string{"tidings.v1.ReaderService/GetEvent/bad-request"},
		},
		"reordered events": {
			new(reordered), "tidings.v1.ReaderService/Read/from-*",
			[]string{ // Those that read two events or more at once.
				"tidings.v1.ReaderService/Read/from-cursor",
				"tidings.v1.ReaderService/Read/from-earliest",
				"tidings.v1.ReaderService/Read/from-no-sequence",
				"tidings.v1.ReaderService/Read/from-sequence",
				"tidings.v1.ReaderService/Read/from-time",
			},
		},
		"duplicate delivery after ack": {
			&deliveredAgain{leased: map[string]*tidingsv1.Delivery{}, again: map[string][]*tidingsv1.Delivery{}},
			"tidings.v1.ConsumerService/Pull/*",
			[]string{"tidings.v1.ConsumerService/Pull/acknowledged"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := run.Config{GRPC: proxyGRPC(t, behind.GRPC, test.fault), Transports: native(), Timeout: time.Minute}
			wantFailures(t, cfg, only(all, test.run), test.want)
		})
	}
	t.Run("ignored deadline", func(t *testing.T) {
		broken := proxyHTTP(t, behind.url(), func(r *http.Request) {
			r.Header.Del("Connect-Timeout-Ms")
			r.Header.Del("Grpc-Timeout")
		})
		// What never ends is given up after this time.
		cfg := run.Config{URL: broken, Transports: []wire.Transport{{Protocol: "connect", JSON: true}}, Timeout: 10 * time.Second}
		wantFailures(t, cfg, only(all, "*/deadline*"), []string{
			"tidings.v1.ConsumerService/Pull/deadline",
			"tidings.v1.ConsumerService/Receive/deadline",
			"tidings.v1.ReaderService/Read/deadline",
			"tidings.v1.ReaderService/Read/deadline-of-the-server",
		})
	})
}

// TestNewerServer runs cases against a server that sends fields and frames that
// the suite doesn't know.
func TestNewerServer(t *testing.T) {
	all, behind := loadCases(t), startServer(t)
	cfg := run.Config{GRPC: proxyGRPC(t, behind.GRPC, new(newer)), Transports: native(), Timeout: time.Minute}
	wantFailures(t, cfg, only(all, "tidings.v1.ReaderService/Read/t*"), nil)
	wantFailures(t, cfg, only(all, "tidings.v1.TopicService/*"), nil)
}

// TestServerThatEnds gives the run up when the server is gone, rather than failing
// all cases that are left.
func TestServerThatEnds(t *testing.T) {
	s := startServer(t)
	count := 0
	_, err := run.Run(t.Context(), run.Config{
		URL: s.url(), GRPC: s.GRPC, Cases: only(loadCases(t), "tidings.v1.TopicService/*"), Transports: wire.Transports(),
		Parallel: 4, Timeout: time.Minute,
		Report: func(result run.Result) {
			if result.Outcome != run.NotRun {
				count++
			}
			if count == 10 {
				_ = s.Kill()
			}
		},
	})
	if !errors.Is(err, run.ErrUnreachable) {
		t.Errorf("the run ends with %v", err)
	}
	if count > 50 {
		t.Errorf("%d cases were tried", count)
	}
}

func native() []wire.Transport {
	return slices.DeleteFunc(wire.Transports(), func(t wire.Transport) bool { return !t.Native })
}

// wantFailures runs cases, and wants some of them to fail and the others to pass.
func wantFailures(t *testing.T, cfg run.Config, selected []suite.Case, want []string) {
	t.Helper()
	cfg.Cases, cfg.Parallel = selected, 8
	results, err := run.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	passed := 0
	for _, result := range results {
		switch result.Outcome {
		case run.Failed:
			failed = append(failed, result.Case)
			t.Logf("%s: %s", result.Case, result.Reason)
		case run.Passed:
			passed++
		default:
		}
	}
	slices.Sort(failed)
	if !slices.Equal(failed, want) {
		t.Errorf("failed are\n%q, want\n%q", failed, want)
	}
	if passed == 0 {
		t.Error("no case passed, so the failures may have any cause")
	}
}

// wrongCode gives a deletion of what isn't there another code.
type wrongCode struct{ sound }

func (*wrongCode) call(rpc string) callFault {
	if rpc != "tidings.v1.TopicService/DeleteTopic" {
		return sound{}
	}
	return new(wrongCode)
}

func (*wrongCode) end(err error) (more []proto.Message, instead error) {
	s := statusOf(err)
	if s.Code() != codes.NotFound {
		return nil, err
	}
	changed := s.Proto()
	changed.Code = int32(codes.FailedPrecondition)
	return nil, status.FromProto(changed).Err()
}

// lostDetail loses the fields of errors.
type lostDetail struct{ sound }

func (*lostDetail) call(string) callFault { return new(lostDetail) }

func (*lostDetail) end(err error) (more []proto.Message, instead error) {
	s := statusOf(err)
	if s == nil {
		return nil, nil
	}
	kept := status.New(s.Code(), s.Message())
	for _, detail := range s.Details() {
		message, ok := detail.(protoadapt.MessageV1)
		if _, lost := detail.(*errdetails.BadRequest); lost || !ok {
			continue
		}
		if kept, err = kept.WithDetails(message); err != nil {
			return nil, err
		}
	}
	return nil, kept.Err()
}

// reordered sends the events that are there when a call begins in reverse.
type reordered struct {
	sound

	held     []*tidingsv1.RecordedEvent
	caughtUp bool
}

func (*reordered) call(rpc string) callFault {
	if rpc != "tidings.v1.ReaderService/Read" {
		return sound{}
	}
	return new(reordered)
}

func (r *reordered) responses(message proto.Message) []proto.Message {
	response, _ := message.(*tidingsv1.ReadResponse)
	if events := response.GetEvents().GetEvents(); len(events) > 0 && !r.caughtUp {
		r.held = append(r.held, events...)
		return nil
	}
	r.caughtUp = true
	return append(r.release(), message)
}

func (r *reordered) end(err error) (more []proto.Message, instead error) { return r.release(), err }

func (r *reordered) release() []proto.Message {
	if len(r.held) == 0 {
		return nil
	}
	slices.Reverse(r.held)
	batch := &tidingsv1.EventBatch{Events: r.held}
	r.held = nil
	return []proto.Message{&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}}
}

// deliveredAgain delivers what was acknowledged a second time.
type deliveredAgain struct {
	mu     sync.Mutex
	leased map[string]*tidingsv1.Delivery   // By token.
	again  map[string][]*tidingsv1.Delivery // By subscription.
}

func (d *deliveredAgain) call(string) callFault { return &deliveredAgainCall{d: d} }

type deliveredAgainCall struct {
	sound

	d            *deliveredAgain
	subscription string
	settlements  []*tidingsv1.Settlement
}

func (c *deliveredAgainCall) request(message proto.Message) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	switch message := message.(type) {
	case *tidingsv1.PullRequest:
		c.subscription = message.GetSubscription()
	case *tidingsv1.SettleRequest:
		c.subscription, c.settlements = message.GetSubscription(), message.GetSettlements()
	}
}

func (c *deliveredAgainCall) responses(message proto.Message) []proto.Message {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	switch message := message.(type) {
	case *tidingsv1.PullResponse:
		for _, delivery := range message.GetDeliveries() {
			c.d.leased[delivery.GetDeliveryToken()] = delivery
		}
		message.Deliveries = append(message.Deliveries, c.d.again[c.subscription]...)
		delete(c.d.again, c.subscription)
	case *tidingsv1.SettleResponse:
		for i, result := range message.GetResults() {
			applied := result.GetStatus() == tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
			if delivery := c.d.leased[c.settlements[i].GetDeliveryToken()]; applied && c.settlements[i].GetAck() != nil && delivery != nil {
				c.d.again[c.subscription] = append(c.d.again[c.subscription], delivery)
			}
		}
	}
	return []proto.Message{message}
}

// newer sends what a later release may.
type newer struct{ sound }

func (*newer) call(string) callFault { return new(newer) }

func (*newer) responses(message proto.Message) []proto.Message {
	unknown := protowire.AppendString(protowire.AppendTag(nil, 9999, protowire.BytesType), "later")
	message.ProtoReflect().SetUnknown(unknown)
	if _, ok := message.(*tidingsv1.ReadResponse); !ok {
		return []proto.Message{message}
	}
	frame := new(tidingsv1.ReadResponse)
	frame.ProtoReflect().SetUnknown(unknown)
	return []proto.Message{frame, message}
}
