package lease

import (
	"slices"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A dead letter from before a seek is redriven after its event was delivered
// anew and settled: the tokens of the one must not be those of the other.
func TestRedriveAfterASeek(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	dead, _ := mustDeliver(t, m, 1, 0, testNow)
	mustSettle(t, m, dead, Bury, testNow)
	m.Filed(1)
	m.SeekTo(1, nil, "")
	released, _ := mustDeliver(t, m, 1, 0, testNow)
	mustSettle(t, m, released, Release, testNow)
	acked, _ := mustDeliver(t, m, 1, 0, testNow)
	mustSettle(t, m, acked, Ack, testNow)

	if !m.Redrive(1, 0, 1, 0) {
		t.Fatal("event 1 was not redriven")
	}
	if status, _ := m.Settle(Settlement{Ref: acked, Action: Ack}, testNow); status != already {
		t.Fatalf("the ack from before the redrive again: %v", status)
	}
	redriven, delivery := mustDeliver(t, m, 1, 0, testNow)
	if delivery.Attempt != 1 || !delivery.Redriven {
		t.Fatalf("redriven as %+v", delivery)
	}
	for _, old := range []Ref{dead, released, acked} {
		if status, _ := m.Settle(Settlement{Ref: old, Action: Ack}, testNow); status != lost {
			t.Fatalf("the ack of %+v while %+v is leased: %v", old, redriven, status)
		}
	}
	mustSettle(t, m, redriven, Ack, testNow)
	refold(t, m)
}

// A dead letter of an event that a seek brings back is redriven before its turn
// comes: it isn't delivered beside itself, and its tokens stay apart.
func TestRedriveAheadOfThePosition(t *testing.T) {
	for _, c := range []struct {
		name    string
		settled bool // Whether it is settled when its turn comes.
		want    Admission
	}{{"tracked", false, Passed}, {"settled", true, Now}} {
		m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
		dead, _ := mustDeliver(t, m, 3, 0, testNow)
		mustSettle(t, m, dead, Bury, testNow)
		m.Filed(3)
		m.SeekTo(1, nil, "")
		m.Redrive(3, 0, 1, 0)
		redriven, _ := mustDeliver(t, m, 3, 0, testNow)
		if m.Position() != 1 {
			t.Fatalf("%s: the position is %d", c.name, m.Position())
		}
		if c.settled {
			mustSettle(t, m, redriven, Ack, testNow)
			if got := m.Admit(3, 0); got != Later {
				t.Fatalf("%s: %v before its dead letter is gone", c.name, got)
			}
			m.Filed(3)
		}
		if got := m.Admit(3, 0); got != c.want {
			t.Fatalf("%s: %v, want %v", c.name, got, c.want)
		}
		if c.settled {
			anew, delivery := mustDeliver(t, m, 3, 0, testNow)
			if delivery.Number != 1 || delivery.Redriven {
				t.Fatalf("%s: delivered anew as %+v", c.name, delivery)
			}
			if status, _ := m.Settle(Settlement{Ref: redriven, Action: Ack}, testNow); status != lost {
				t.Fatalf("%s: the ack from before: %v", c.name, status)
			}
			mustSettle(t, m, anew, Ack, testNow)
			if status, _ := m.Settle(Settlement{Ref: anew, Action: Ack}, testNow); status != already {
				t.Fatalf("%s: the last ack again: %v", c.name, status)
			}
		}
		if m.Position() != 4 {
			t.Fatalf("%s: the position is %d in the end", c.name, m.Position())
		}
		refold(t, m)
	}
}

// What a seek finds dying is stored after it. That it was counted in an earlier
// generation must not be forgotten.
func TestSeekWhileDying(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_KEY, testPolicy, 1)
	dead, _ := mustDeliver(t, m, 1, 5, testNow)
	mustSettle(t, m, dead, Bury, testNow)
	admitAll(t, m, 5, 2, 3)
	m.SeekTo(1, nil, "")
	if m.Len() != 1 || m.Room() != MaxTracked-1 || m.Generation() != 1 {
		t.Fatalf("%d tracked in generation %d", m.Len(), m.Generation())
	}
	if got := m.Admit(1, 5); got != Later || m.Position() != 1 {
		t.Fatalf("%v before the dead letter is stored", got)
	}
	letters := slices.Collect(m.Dying())
	m.Filed(1)
	anew, _ := mustDeliver(t, m, 1, 5, testNow)
	mustSettle(t, m, anew, Release, testNow)
	again, _ := mustDeliver(t, m, 1, 5, testNow)
	mustSettle(t, m, again, Ack, testNow)
	if !m.Redrive(1, m.Generation(), letters[0].Deliveries, 5) {
		t.Fatal("event 1 was not redriven")
	}
	redriven, _ := mustDeliver(t, m, 1, 5, testNow)
	if redriven == anew || redriven == again {
		t.Fatalf("%+v was given twice", redriven)
	}
	refold(t, m)
}

// A seek makes dead letters again of what was redriven and not settled.
func TestSeekWhileRedriven(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 1)
	for _, ref := range admitAll(t, m, 0, 1, 2, 3) {
		mustSettle(t, m, ref, Bury, testNow)
	}
	m.Filed(1, 2, 3)
	for _, sequence := range []int64{1, 2, 3} {
		m.Redrive(sequence, 0, 1, 0)
	}
	ref, _ := mustDeliver(t, m, 2, 0, testNow)
	settled, _ := mustDeliver(t, m, 3, 0, testNow)
	mustSettle(t, m, settled, Ack, testNow)
	m.SeekTo(4, nil, "")
	if got := m.Redriven(); !slices.Equal(got, []int64{3}) {
		t.Fatalf("redriven: %v", got)
	}
	if got := slices.Collect(m.Done()); !slices.Equal(got, []int64{3}) {
		t.Fatalf("done: %v", got)
	}
	if status, _ := m.Settle(Settlement{Ref: ref, Action: Ack}, testNow); status != lost {
		t.Fatalf("the ack from before: %v", status)
	}
	if !m.Redrive(2, 0, 1, 0) || m.Redrive(3, 0, 1, 0) {
		t.Fatal("2 can't be redriven, or 3 can")
	}
	refold(t, m)
}

func TestSeekToNowhere(t *testing.T) {
	m := New(tidingsv1.Ordering_ORDERING_NONE, testPolicy, 0)
	if m.Position() != 1 {
		t.Fatalf("the position is %d", m.Position())
	}
	m.SeekTo(-5, nil, "")
	if m.Position() != 1 || m.Admit(0, 0) != Later || m.Redrive(0, 1, 1, 0) {
		t.Fatalf("there is an event 0, and the position is %d", m.Position())
	}
	m.Skip(10, nil)
	m.Skip(9, &tidingsv1.Gap{FirstSequence: 1, NextSequence: 9})
	if m.Position() != 10 || m.Statistics().LatestGap != nil {
		t.Fatalf("skipping went back to %d", m.Position())
	}
	refold(t, m)
}
