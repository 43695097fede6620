package delivery

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/lease"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// TestRequestsBetweenServers: a request comes to another server as it was made.
func TestRequestsBetweenServers(t *testing.T) {
	ref, delay := lease.Ref{Generation: 1, Sequence: 2, Delivery: 3}, 5*time.Second
	settlements := []lease.Settlement{
		{Ref: ref, Action: lease.Ack},
		{Ref: ref, Extend: time.Minute},
		{Ref: ref, Action: lease.Retry, Reason: "later"},
		{Ref: ref, Action: lease.Retry, Delay: &delay},
		{Ref: ref, Action: lease.Release, Delay: new(time.Duration)},
		{Ref: ref, Action: lease.Bury, Reason: "never"},
		{Ref: ref, Action: lease.Drop},
	}
	for _, want := range []request{
		&attachRequest{session: "a", window: window, held: []lease.Ref{ref, {}}, once: true, principal: "key:a"},
		&attachRequest{session: "a"},
		&leaseRequest{owner: "o", session: "a", number: 7, maxEvents: 8, maxBytes: 9, wait: time.Second},
		&resizeRequest{session: "a", principal: "key:a", window: window},
		&detachRequest{session: "a", sent: 7},
		&settleRequest{settlements: settlements},
		&seekRequest{sequence: 4, notBefore: timestamppb.New(time.Unix(5, 6)), id: "i"},
		&inspectRequest{statisticsOnly: true},
		&refreshRequest{revision: 8},
		&redriveRequest{sequences: []int64{1, 5}},
		&purgeRequest{sequences: []int64{1, 5}},
	} {
		message := new(replicav1.OwnerRequest)
		sendMessage(t, want.encode(), message)
		if diff := cmp.Diff(want, decodeRequest(message), everyField); diff != "" {
			t.Errorf("%T comes otherwise (-want +got):\n%s", want, diff)
		}
	}
	if got := decodeRequest(new(replicav1.OwnerRequest)); got != nil {
		t.Errorf("a request of a later release comes as %+v", got)
	}
}

// TestResponsesBetweenServers: a response comes to another server as it was made,
// and an error as one that the caller knows.
func TestResponsesBetweenServers(t *testing.T) {
	applied := &tidingsv1.SettlementResult{Status: tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED}
	for _, want := range []*response{
		{},
		{owner: "o", ackDeadline: time.Minute, results: []*tidingsv1.SettlementResult{applied}},
		{deliveries: append(newBuffer(), 1), window: window},
		{statistics: &tidingsv1.SubscriptionStatistics{Consumers: 2}, redriven: []int64{3}},
		{count: 4, remaining: 5, previous: 6},
	} {
		message := new(replicav1.OwnerResponse)
		sendMessage(t, want.encode(), message)
		if diff := cmp.Diff(want, decodeResponse(message), everyField); diff != "" {
			t.Errorf("it comes otherwise (-want +got):\n%s", diff)
		}
	}
	for _, want := range []error{
		ErrUnavailable, ErrSession, ErrFilter,
		engine.ErrFull, engine.ErrUnavailable, engine.ErrSubscriptionNotFound, engine.ErrTopicNotFound,
	} {
		message := new(replicav1.OwnerResponse)
		sendMessage(t, (&response{err: want}).encode(), message)
		if got := decodeResponse(message).err; !errors.Is(got, want) {
			t.Errorf("%v comes as %v", want, got)
		}
	}
	for _, number := range []replicav1.OwnerError{replicav1.OwnerError_OWNER_ERROR_UNKNOWN_REQUEST, 1000} {
		if got := decodeResponse(&replicav1.OwnerResponse{Error: number}).err; !errors.Is(got, ErrUnavailable) {
			t.Errorf("error %v comes as %v", number, got)
		}
	}
	if got := (&response{err: errUnknownRequest}).encode().GetError(); got != replicav1.OwnerError_OWNER_ERROR_UNKNOWN_REQUEST {
		t.Errorf("a request of a later release is answered by %v", got)
	}
}

// everyField compares requests and responses.
var everyField = cmp.Options{protocmp.Transform(), cmp.Exporter(func(reflect.Type) bool { return true })}

// sendMessage encodes a message and decodes it into another.
func sendMessage(t *testing.T, from, to proto.Message) {
	t.Helper()
	encoded, err := proto.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(encoded, to); err != nil {
		t.Fatal(err)
	}
}
