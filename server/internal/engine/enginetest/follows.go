package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// testFollows tests what becomes of appends behind one that fails.
func testFollows(t *testing.T, storage Storage) {
	e := opened(t, storage)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			testFollowing(t, e, kind)
			testNotFollowing(t, e, kind)
		})
	}
	t.Run("conflict", func(t *testing.T) { testBehindConflict(t, e) })
}

// started is an append that a test has begun, and to what.
type started struct {
	topic  *engine.Topic
	append engine.Append
}

// chain begins appends, each behind the one before.
type chain struct {
	e    engine.Engine
	list []started
}

func (c *chain) start(t *testing.T, topic *engine.Topic, batch *engine.Batch, follows bool) {
	t.Helper()
	batch.Follows = follows
	var behind engine.Append
	if n := len(c.list); n > 0 {
		behind = c.list[n-1].append
	}
	one, err := c.e.Start(testContext(t), topic, batch, behind)
	noErr(t, err)
	c.list = append(c.list, started{topic, one})
}

// errs waits until all have ended.
func (c *chain) errs(t *testing.T) (errs []error) {
	t.Helper()
	for _, one := range c.list {
		_, err := one.append.Wait(testContext(t))
		errs = append(errs, err)
	}
	return errs
}

func testFollowing(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("following-", int(kind)), dedupe(kind))
	other := newTopic(t, e, fmt.Sprint("following-other-", int(kind)), dedupe(kind))
	c := chain{e: e}
	const before, after = 20, 20
	for i := range before {
		c.start(t, []*engine.Topic{topic, other}[i%2], encode(events(fmt.Sprint("a", i), fmt.Sprint("b", i))[:1+i%3/2]...), true)
	}
	c.start(t, topic, expecting(encode(events("never")...), "", 1<<40), true)
	for i := range after {
		c.start(t, []*engine.Topic{other, topic}[i%2], encode(events(fmt.Sprint("c", i), fmt.Sprint("d", i))[:1+i%3/2]...), true)
	}
	c.start(t, other, encode(), true)
	for i, err := range c.errs(t) {
		switch {
		case i < before:
			noErr(t, err)
		case i == before:
			wantErr(t, err, engine.ErrSequence)
		default:
			wantErr(t, err, engine.ErrBehind)
		}
	}
	for _, topic := range []*engine.Topic{topic, other} {
		for i, one := range all(t, e, topic) {
			if one.id[0] != 'a' && one.id[0] != 'b' {
				t.Errorf("event %d is %s, which is behind one that failed", i, one.id)
			}
		}
	}
	// One that begins when the other has ended, too.
	c.start(t, topic, encode(events("late")...), true)
	wantErr(t, c.errs(t)[before+after+2], engine.ErrBehind)
}

// What doesn't follow is stored, whatever became of what it is behind.
func testNotFollowing(t *testing.T, e engine.Engine, kind optionsv1.Dedupe) {
	t.Helper()
	topic := newTopic(t, e, fmt.Sprint("not-following-", int(kind)), dedupe(kind))
	stored(t, e, topic, encode(events("one")...))
	c := chain{e: e}
	c.start(t, topic, expecting(encode(events("never")...), "", 1<<40), false)
	c.start(t, topic, encode(events("two", "three")...), false)
	taken := encode(event{id: "one", content: "other"})
	c.start(t, topic, taken, false)
	c.start(t, topic, encode(events("four")...), false)
	errs := c.errs(t)
	wantErr(t, errs[0], engine.ErrSequence)
	wantErr(t, errs[2], engine.ErrConflict)
	noErr(t, errors.Join(errs[1], errs[3]))
	if list := all(t, e, topic); len(list) != 4 {
		t.Errorf("there are %v", list)
	}
}

// A batch may be sent again where some of its events are stored in another
// encoding: what comes behind it has to wait for that.
func testBehindConflict(t *testing.T, e engine.Engine) {
	topic := newTopic(t, e, "behind-conflict", dedupe(optionsv1.Dedupe_DEDUPE_EVENT))
	stored(t, e, topic, encode(events("known")...))
	c := chain{e: e}
	again := func() *engine.Batch { return encode(event{id: "known", content: "other"}, event{id: "1"}) }
	c.start(t, topic, again(), false)
	c.start(t, topic, encode(events("2")...), false)
	c.start(t, topic, encode(events("3", "4")...), false)
	errs := c.errs(t)
	wantErr(t, errs[0], engine.ErrConflict)
	wantErr(t, errs[1], engine.ErrBehind)
	wantErr(t, errs[2], engine.ErrBehind)

	adopted := again()
	adopted.Events[0].Hash = encode(events("known")...).Events[0].Hash
	c = chain{e: e}
	c.start(t, topic, adopted, false)
	c.start(t, topic, encode(events("2")...), false)
	c.start(t, topic, encode(events("3", "4")...), false)
	noErr(t, errors.Join(c.errs(t)...))
	var ids []string
	for _, one := range all(t, e, topic) {
		ids = append(ids, one.id)
	}
	if want := []string{"known", "1", "2", "3", "4"}; !slices.Equal(ids, want) {
		t.Errorf("there are %q, want %q", ids, want)
	}
}
