package enginetest

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func newSubscription(t *testing.T, e engine.Engine, name string) *engine.Subscription {
	t.Helper()
	s, err := e.CreateSubscription(testContext(t), name, &storagev1.SubscriptionConfig{Uid: uids.Add(1), Topic: "topic", TopicUid: 1})
	noErr(t, err)
	return s
}

func testSubscriptions(t *testing.T, storage Storage) {
	e, ctx := opened(t, storage), testContext(t)
	_, err := e.Subscription(ctx, "b")
	wantErr(t, err, engine.ErrSubscriptionNotFound)
	_, err = e.SubscriptionAt(ctx, "b", 1)
	wantErr(t, err, engine.ErrSubscriptionNotFound)
	first := newSubscription(t, e, "b")
	if first.Config.GetFormat() != engine.ConfigFormat {
		t.Errorf("form %d", first.Config.GetFormat())
	}
	_, err = e.CreateSubscription(ctx, "b", &storagev1.SubscriptionConfig{Uid: uids.Add(1)})
	wantErr(t, err, engine.ErrSubscriptionExists)
	newSubscription(t, e, "a")
	var names []string
	for _, s := range e.Subscriptions() {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("subscriptions are %q", names)
	}
	changed := proto.CloneOf(first.Config)
	changed.Description = "changed"
	second, err := e.UpdateSubscription(ctx, first, changed)
	noErr(t, err)
	_, err = e.UpdateSubscription(ctx, first, proto.CloneOf(first.Config))
	wantErr(t, err, engine.ErrRevision)
	wantErr(t, e.DeleteSubscription(ctx, first), engine.ErrRevision)
	shown, err := e.SubscriptionAt(ctx, "b", second.Revision)
	noErr(t, err)
	if shown.Revision != second.Revision || shown.Config.GetDescription() != "changed" {
		t.Errorf("shown as %v", shown)
	}
	gone := e.SubscriptionGone(second)
	select {
	case <-gone:
		t.Fatal("it is said to be gone")
	default:
	}
	noErr(t, e.DeleteSubscription(ctx, second))
	select {
	case <-gone:
	case <-ctx.Done():
		t.Fatal("nothing tells that it is gone")
	}
	<-e.SubscriptionGone(second)
	_, err = e.Subscription(ctx, "b")
	wantErr(t, err, engine.ErrSubscriptionNotFound)
	if again := newSubscription(t, e, "b"); again.Revision <= second.Revision {
		t.Errorf("revision %d after %d", again.Revision, second.Revision)
	}
	t.Run("topic", func(t *testing.T) { testTopicOf(t, e) })
	t.Run("owner", func(t *testing.T) { testOwner(t, e) })
}

func testTopicOf(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	of := func(name string, topic *engine.Topic) *engine.Subscription {
		s, err := e.CreateSubscription(ctx, name, &storagev1.SubscriptionConfig{
			Uid: uids.Add(1), Topic: "of", TopicUid: topic.Config.GetUid(),
		})
		noErr(t, err)
		return s
	}
	topic := newTopic(t, e, "of")
	s := of("of-first", topic)
	if got, err := engine.TopicOf(ctx, e, s); err != nil || got.Config.GetUid() != topic.Config.GetUid() {
		t.Errorf("the topic is %v, %v", got, err)
	}
	noErr(t, e.DeleteTopic(ctx, topic))
	_, err := engine.TopicOf(ctx, e, s)
	wantErr(t, err, engine.ErrTopicNotFound)
	topic = newTopic(t, e, "of")
	_, err = engine.TopicOf(ctx, e, s)
	wantErr(t, err, engine.ErrTopicNotFound)
	if _, err := engine.TopicOf(ctx, e, of("of-second", topic)); err != nil {
		t.Error(err)
	}
}

func testOwner(t *testing.T, e engine.Engine) {
	ctx := testContext(t)
	if e.Exclusive() {
		return
	}
	s := newSubscription(t, e, "owned")
	_, err := e.Call(ctx, s, []byte("who"))
	wantErr(t, err, engine.ErrNobody)
	stop, err := e.Serve(s, func(request []byte, reply func([]byte)) { reply(append(request, '!')) })
	noErr(t, err)
	if reply, err := e.Call(ctx, s, []byte("who")); err != nil || string(reply) != "who!" {
		t.Errorf("the reply is %q, %v", reply, err)
	}
	stop()
	_, err = e.Call(ctx, s, []byte("who"))
	wantErr(t, err, engine.ErrNobody)
}

// replayed returns the entries that a journal hasn't seen.
func replayed(t *testing.T, j engine.Journal) (entries []string) {
	t.Helper()
	noErr(t, j.Replay(testContext(t), func(entry []byte) error {
		entries = append(entries, string(entry))
		return nil
	}))
	return entries
}

func wantEntries(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("entries are %q, want %q", got, want)
	}
}

func entries(list ...string) (entries [][]byte) {
	for _, one := range list {
		entries = append(entries, []byte(one))
	}
	return entries
}

// Of two writers of a journal only one goes on.
func testJournal(t *testing.T, storage Storage) {
	e, ctx := opened(t, storage), testContext(t)
	s := newSubscription(t, e, "journal")
	one, two := e.Journal(s), e.Journal(s)
	wantEntries(t, replayed(t, one))
	noErr(t, one.Check(ctx))
	noErr(t, one.Append(ctx, entries("1"), nil, nil))
	noErr(t, one.Append(ctx, entries("2", "3", "4"), nil, nil))
	wantErr(t, two.Append(ctx, entries("x"), nil, nil), engine.ErrSequence)
	wantErr(t, two.Check(ctx), engine.ErrSequence)
	wantEntries(t, replayed(t, two), "1", "2", "3", "4")
	noErr(t, two.Check(ctx))
	noErr(t, two.Append(ctx, entries("5"), nil, nil))
	for _, list := range [][][]byte{entries("x"), entries("x", "y")} {
		wantErr(t, one.Append(ctx, list, nil, nil), engine.ErrSequence)
		wantErr(t, one.Compact(ctx, list), engine.ErrSequence)
	}
	wantErr(t, one.Check(ctx), engine.ErrSequence)
	wantEntries(t, replayed(t, one), "5")
	wantEntries(t, replayed(t, one))
	late, unused := e.Journal(s), e.Journal(s)
	wantEntries(t, replayed(t, late), "1", "2", "3", "4", "5")
	noErr(t, one.Append(ctx, entries("6"), nil, nil))
	// What is compacted is there in the place of all that was.
	noErr(t, one.Compact(ctx, entries("all", "of", "it")))
	noErr(t, one.Append(ctx, entries("7"), nil, nil))
	wantErr(t, two.Append(ctx, entries("x"), nil, nil), engine.ErrSequence)
	wantEntries(t, replayed(t, unused), "all", "of", "it", "7")
	wantEntries(t, replayed(t, late), "all", "of", "it", "7")
	wantEntries(t, replayed(t, e.Journal(s)), "all", "of", "it", "7")

	var many []string
	for i := range engine.MaxEntries {
		many = append(many, fmt.Sprint(i))
	}
	noErr(t, late.Append(ctx, entries(many...), nil, nil))
	noErr(t, late.Compact(ctx, entries(many...)))
	wantEntries(t, replayed(t, e.Journal(s)), many...)
	testJournalLetters(t, e, s, late)

	noErr(t, e.DeleteSubscription(ctx, s))
	again := newSubscription(t, e, "journal")
	wantErr(t, late.Append(ctx, entries("x"), nil, nil), engine.ErrSubscriptionNotFound)
	wantErr(t, late.Append(ctx, entries("x", "y"), nil, nil), engine.ErrSubscriptionNotFound)
	wantErr(t, late.Compact(ctx, entries("x")), engine.ErrSubscriptionNotFound)
	wantErr(t, late.Check(ctx), engine.ErrSubscriptionNotFound)
	wantErr(t, late.Replay(ctx, func([]byte) error { return nil }), engine.ErrSubscriptionNotFound)
	wantEntries(t, replayed(t, e.Journal(again)))
	testJournalAtOnce(t, e, again)
}

// Entries and dead letters are stored together, where the engine can.
func testJournalLetters(t *testing.T, e engine.Engine, s *engine.Subscription, j engine.Journal) {
	t.Helper()
	ctx := testContext(t)
	letters := []engine.DeadLetter{{Sequence: 7, Data: []byte("seven")}}
	if !e.Features().OneCommit {
		wantErr(t, j.Append(ctx, entries("x"), letters, nil), engine.ErrUnsupported)
		wantErr(t, j.Append(ctx, entries("x"), nil, []int64{7}), engine.ErrUnsupported)
		noErr(t, j.Check(ctx))
		return
	}
	noErr(t, j.Append(ctx, entries("buried"), letters, nil))
	if letter, err := e.DeadLetter(ctx, s, 7); err != nil || string(letter.Data) != "seven" {
		t.Errorf("the dead letter is %+v, %v", letter, err)
	}
	// With neither where another has written.
	wantErr(t, e.Journal(s).Append(ctx, entries("x"), []engine.DeadLetter{{Sequence: 8}}, []int64{7}), engine.ErrSequence)
	_, err := e.DeadLetter(ctx, s, 8)
	wantErr(t, err, engine.ErrRecordNotFound)
	noErr(t, j.Append(ctx, entries("redriven"), nil, []int64{7}))
	_, err = e.DeadLetter(ctx, s, 7)
	wantErr(t, err, engine.ErrRecordNotFound)
}

func testJournalAtOnce(t *testing.T, e engine.Engine, s *engine.Subscription) {
	t.Helper()
	ctx := testContext(t)
	var journals []engine.Journal
	for range 8 {
		journals = append(journals, e.Journal(s))
	}
	won := 0
	for _, err := range together(len(journals), func(i int) error {
		return journals[i].Append(ctx, entries("a", "b")[:1+i%2], nil, nil)
	}) {
		if err == nil {
			won++
		} else {
			wantErr(t, err, engine.ErrSequence)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won", won)
	}
}

func letters(sequences ...int64) (list []engine.DeadLetter) {
	for _, sequence := range sequences {
		list = append(list, engine.DeadLetter{Sequence: sequence, Data: fmt.Append(nil, "letter ", sequence)})
	}
	return list
}

func testDeadLetters(t *testing.T, storage Storage) {
	e, ctx := opened(t, storage), testContext(t)
	s, other := newSubscription(t, e, "dead"), newSubscription(t, e, "other")
	_, err := e.DeadLetter(ctx, s, 1)
	wantErr(t, err, engine.ErrRecordNotFound)
	noErr(t, e.PutDeadLetters(ctx, s, nil))
	noErr(t, e.PutDeadLetters(ctx, s, letters(5, 3, 1<<40)))
	noErr(t, e.PutDeadLetters(ctx, s, letters(4)))
	noErr(t, e.PutDeadLetters(ctx, other, letters(3)))
	wantLetters(t, e, s, 5, 3, 1<<40, 4)
	// One that is stored anew comes last.
	noErr(t, e.PutDeadLetters(ctx, s, []engine.DeadLetter{{Sequence: 3, Data: []byte("anew")}}))
	noErr(t, e.PutDeadLetters(ctx, s, letters(6)))
	wantLetters(t, e, s, 5, 1<<40, 4, 3, 6)
	third, err := e.DeadLetter(ctx, s, 3)
	noErr(t, err)
	if string(third.Data) != "anew" || third.Sequence != 3 {
		t.Errorf("the dead letter is %+v", third)
	}
	noErr(t, e.DeleteDeadLetters(ctx, s, 4, 100))
	wantLetters(t, e, s, 5, 1<<40, 3, 6)
	_, err = e.DeadLetter(ctx, s, 4)
	wantErr(t, err, engine.ErrRecordNotFound)

	// From a place on, and no further than is asked for.
	var got []int64
	noErr(t, e.ReadDeadLetters(ctx, s, third.Place, func(letter engine.DeadLetter) (bool, error) {
		got = append(got, letter.Sequence)
		return len(got) < 1, nil
	}))
	if !slices.Equal(got, []int64{3}) {
		t.Errorf("from a place on there are %d", got)
	}
	wantErr(t, e.ReadDeadLetters(ctx, s, 0, func(engine.DeadLetter) (bool, error) { return true, engine.ErrFull }), engine.ErrFull)
	// What is changed while they are read.
	got = nil
	noErr(t, e.ReadDeadLetters(ctx, s, 0, func(letter engine.DeadLetter) (bool, error) {
		got = append(got, letter.Sequence)
		if letter.Sequence == 5 {
			noErr(t, e.DeleteDeadLetters(ctx, s, 5, 3, 6))
			noErr(t, e.PutDeadLetters(ctx, s, letters(9)))
		}
		return true, nil
	}))
	if !slices.Equal(got, []int64{5, 1 << 40}) && !slices.Equal(got, []int64{5, 1 << 40, 3, 6}) {
		t.Errorf("while they change there are %d", got)
	}
	wantLetters(t, e, s, 1<<40, 9)
	wantLetters(t, e, other, 3)

	noErr(t, e.DeleteSubscription(ctx, s))
	again := newSubscription(t, e, "dead")
	wantErr(t, e.PutDeadLetters(ctx, s, letters(1)), engine.ErrSubscriptionNotFound)
	_, err = e.DeadLetterCount(ctx, s)
	wantErr(t, err, engine.ErrSubscriptionNotFound)
	wantLetters(t, e, again)
}

func wantLetters(t *testing.T, e engine.Engine, s *engine.Subscription, want ...int64) {
	t.Helper()
	ctx := testContext(t)
	var got []int64
	place := uint64(0)
	noErr(t, e.ReadDeadLetters(ctx, s, 0, func(letter engine.DeadLetter) (bool, error) {
		got = append(got, letter.Sequence)
		if letter.Place <= place {
			t.Errorf("place %d after %d", letter.Place, place)
		}
		place = letter.Place
		one, err := e.DeadLetter(ctx, s, letter.Sequence)
		if err != nil || string(one.Data) != string(letter.Data) || one.Place != letter.Place {
			t.Errorf("the dead letter of %d is %+v, %v; read as %+v", letter.Sequence, one, err, letter)
		}
		return true, nil
	}))
	if !slices.Equal(got, want) {
		t.Errorf("dead letters of %d, want %d", got, want)
	}
	if count, err := e.DeadLetterCount(ctx, s); err != nil || count != uint64(len(want)) {
		t.Errorf("%d dead letters, %v; want %d", count, err, len(want))
	}
}
