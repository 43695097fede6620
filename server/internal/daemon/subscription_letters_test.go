package daemon_test

import (
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Crashes while many events become dead letters: each that was answered is one,
// exactly once, and no other.
func TestDeadLettersSurviveCrashes(t *testing.T) { onEach(t, testDeadLettersSurviveCrashes) }

func testDeadLettersSurviveCrashes(t *testing.T, storage string) {
	t.Helper()
	s := startSingle(t, storage, tidingsv1.Ordering_ORDERING_NONE, longDeadline)
	const events, part = 3000, 20
	sequences := publishWork(t, s.clients, events, 10)
	left := pull(t, s.clients, events)
	expectSame(t, left, sequences)
	unsure := 0
	for crash := 0; len(left) > 0; crash++ {
		var once sync.Once
		answered := 0
		var unanswered []*tidingsv1.Delivery
		for len(left) > 0 {
			batch := left[:part]
			request := &tidingsv1.SettleRequest{Subscription: work}
			for _, d := range batch {
				request.Settlements = append(request.Settlements, nack(d, &tidingsv1.Nack{
					Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: "can't",
				}))
			}
			response, err := s.consumer.Settle(t.Context(), request)
			if err != nil && status.Code(err) != codes.Unavailable {
				t.Fatal(err)
			}
			for _, result := range response.GetResults() {
				if result.GetStatus() == transient {
					err = status.Error(codes.Unavailable, "transient")
				}
			}
			if err != nil {
				unanswered = batch
				break
			}
			left = left[part:]
			answered++
			if crash < 5 && answered >= 10+7*crash {
				once.Do(func() { _ = s.server.Kill() })
			}
		}
		if len(left) == 0 {
			break
		}
		s.crash()
		// Whether the last ones were applied isn't known: again gives the same.
		for _, d := range unanswered {
			response, err := s.consumer.Settle(t.Context(), &tidingsv1.SettleRequest{
				Subscription: work,
				Settlements:  []*tidingsv1.Settlement{nack(d, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: "can't"})},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := response.GetResults()[0].GetStatus(); got != applied && got != alreadyApplied {
				t.Errorf("again: %s", got)
			}
			unsure++
		}
		left = left[len(unanswered):]
		expectLetters(t, s.clients, sequences[:events-len(left)])
	}
	t.Logf("%d settlements were repeated", unsure)
	expectLetters(t, s.clients, sequences)
	expectIdle(t, s.clients, events)
}

// expectLetters checks which events are dead letters. Pulls deliver events in
// their order, so those of the first deliveries are the first ones.
func expectLetters(t *testing.T, c clients, want []int64) {
	t.Helper()
	found := deadLetters(t, c, work)
	for _, sequence := range want {
		letter := found[sequence]
		if letter == nil {
			t.Fatalf("event %d is no dead letter; %d are, want %d", sequence, len(found), len(want))
		}
		if letter.GetCause() != tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_NACK || letter.GetLastNackReason() != "can't" || letter.GetAttempts() != 1 {
			t.Fatalf("dead letter %v, want one attempt that ended with a nack", letter)
		}
	}
	if len(found) != len(want) {
		t.Fatalf("%d dead letters, want %d", len(found), len(want))
	}
	if got := statistics(t, c).GetDeadLetteredEvents(); got != int64(len(want)) {
		t.Fatalf("the statistics show %d dead letters, want %d", got, len(want))
	}
}

// Redriving is answered once it holds: after a crash each redriven event is
// delivered once, with attempt 1, and is a dead letter no more or again.
func TestRedriveSurvivesCrash(t *testing.T) { onEach(t, testRedriveSurvivesCrash) }

func testRedriveSurvivesCrash(t *testing.T, storage string) {
	t.Helper()
	s := startSingle(t, storage, tidingsv1.Ordering_ORDERING_KEY, longDeadline)
	const events = 1200
	sequences := publishWork(t, s.clients, events, events)
	bury := func(deliveries []*tidingsv1.Delivery) {
		var settlements []*tidingsv1.Settlement
		for _, d := range deliveries {
			settlements = append(settlements, nack(d, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: "can't"}))
		}
		settle(t, s.clients, applied, settlements...)
	}
	bury(pull(t, s.clients, events))
	s.crash()
	expectLetters(t, s.clients, sequences)
	redrive := func(want int64) {
		t.Helper()
		response, err := s.letters.RedriveDeadLetters(t.Context(), &tidingsv1.RedriveDeadLettersRequest{Subscription: work})
		if err != nil {
			t.Fatal(err)
		}
		if response.GetRedrivenCount() != want {
			t.Fatalf("redriven %v, want %d", response, want)
		}
	}
	redrive(events)
	s.crash()
	redrive(0) // They are being redelivered.
	deliveries := pull(t, s.clients, events)
	expectSame(t, deliveries, sequences)
	expectAttempt(t, 1, deliveries)
	for _, d := range deliveries {
		if !d.GetRedriven() {
			t.Fatalf("event %d isn't called redriven", d.GetRecorded().GetSequence())
		}
	}
	// A third is acknowledged, a third dies again, a third stays leased.
	settle(t, s.clients, applied, acks(deliveries[:400])...)
	bury(deliveries[400:800])
	s.crash()
	settle(t, s.clients, alreadyApplied, acks(deliveries[:400])...)
	expectLetters(t, s.clients, sequencesOf(deliveries[400:800]))
	settle(t, s.clients, applied, acks(deliveries[800:])...)
	s.crash()
	expectLetters(t, s.clients, sequencesOf(deliveries[400:800]))
	purged, err := s.letters.PurgeDeadLetters(t.Context(), &tidingsv1.PurgeDeadLettersRequest{
		Subscription: work, Filter: &tidingsv1.DeadLetterFilter{Sequences: sequencesOf(deliveries[400:500])},
	})
	if err != nil || purged.GetPurgedCount() != 100 {
		t.Errorf("purged %v, %v", purged, err)
	}
	redrive(300)
	s.crash()
	rest := pull(t, s.clients, 300)
	expectSame(t, rest, sequencesOf(deliveries[500:800]))
	settle(t, s.clients, applied, acks(rest)...)
	s.crash()
	expectIdle(t, s.clients, 0)
}
