// Package governance keeps the schemas that are in force: those that the server
// was started with, and over them those that were registered while it ran, by
// whichever server. It lets them change only where nobody breaks.
package governance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"
)

// ErrNoComparer says that there is nothing to compare schemas with.
var ErrNoComparer = errors.New("the server has been given no Buf to compare schemas with: it takes schemas once it is started with --buf")

// InvalidError says what is wrong with an image.
type InvalidError struct{ Problem string }

func (e *InvalidError) Error() string { return e.Problem }

// ConflictError says what schemas declare that the server can't have any more.
type ConflictError struct{ Problem string }

func (e *ConflictError) Error() string { return e.Problem }

// IncompatibleError says what schemas would break.
type IncompatibleError struct {
	// Violations holds at least one.
	Violations []Violation
}

func (e *IncompatibleError) Error() string {
	first := e.Violations[0]
	text := fmt.Sprintf("%s: %s (%s, against revision %s)", first.Place(), first.Message, first.Rule, first.Against)
	if more := len(e.Violations) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// RevisionError says that the schemas have another revision than the expected.
type RevisionError struct{ Expected, Actual string }

func (e *RevisionError) Error() string {
	return fmt.Sprintf("the schemas have the revision %s, not %s", e.Actual, e.Expected)
}

// Violation is a change that breaks somebody, and the revision that it was
// compared with.
type Violation struct {
	compat.Violation
	Against string
}

// Place is where the change is: `file:line`, as far as that is known.
func (v Violation) Place() string {
	switch {
	case v.File == "":
		return "schemas"
	case v.Line == 0:
		return v.File
	default:
		return fmt.Sprintf("%s:%d", v.File, v.Line)
	}
}

// Comparer compares schemas: see compat.Checker.
type Comparer interface {
	Compare(ctx context.Context, newer, older *schema.Image, packages map[string]bool, reached compat.Reach) ([]compat.Violation, error)
}

// Config is what New needs. Every field but Comparer is required.
type Config struct {
	Engine engine.Engine
	// Base is what the server is started with.
	Base *schema.Set
	// Comparer decides what breaks. nil: the schemas can't change, except when
	// another server registers some.
	Comparer Comparer
	// Admit says why event types can't be put in force though nothing is wrong with
	// them: a *ConflictError, or what kept it from finding out. nil: they can.
	Admit func(context.Context, *schema.Set) error
	Log   *slog.Logger
}

const (
	// maxComparisons bounds the comparisons under way: each is a process.
	maxComparisons = 2
	// maxChecks bounds the images that are looked at: each takes memory.
	maxChecks = 2
)

// Schemas are the schemas in force. It is safe for concurrent use.
type Schemas struct {
	engine   engine.Engine
	comparer Comparer
	admit    func(context.Context, *schema.Set) error
	log      *slog.Logger
	running  *semaphore.Weighted
	checking *semaphore.Weighted
	quit     context.CancelFunc
	ended    guard.Group

	// changing holds who changes what follows: a channel, since waiting for a
	// comparison ends with the caller's context.
	changing chan struct{}
	present  atomic.Pointer[state]

	refused bool // The base that it was made with.

	history *history
	sets    sets
}

// state is what is in force at a time. It is immutable.
type state struct {
	base       *schema.Set
	registered []revision // As the engine numbers them, from 1 on.
	set        *schema.Set
	changed    chan struct{} // Closed once another set is in force.
}

// revision is schemas that were registered.
type revision struct {
	image *schema.Image
	name  string // Of the whole set, as it was then.
}

func (s *state) name() string { return schema.FormatRevision(s.set.Revision()) }

// New composes the schemas in force and follows their changes until Close. What
// the server was started with takes the place of what it was started with before
// only where nobody breaks, as for Replace; otherwise it is logged and what was
// before stays in force. New returns an error where what was registered doesn't
// fit what the server was started with, a *ConflictError where that isn't
// admitted, and another one where the revisions of the event types can't be
// stored.
func New(ctx context.Context, cfg Config) (*Schemas, error) {
	s := &Schemas{
		engine:   cfg.Engine,
		comparer: cfg.Comparer,
		admit:    cfg.Admit,
		log:      cfg.Log,
		running:  semaphore.NewWeighted(maxComparisons),
		checking: semaphore.NewWeighted(maxChecks),
		changing: make(chan struct{}, 1),
		history:  &history{engine: cfg.Engine, byType: make(map[string][]TypeRevision), files: make(map[string]bool)},
	}
	if s.admit == nil {
		s.admit = func(context.Context, *schema.Set) error { return nil }
	}
	s.sayIgnored(cfg.Base.Image())
	base, successor := s.startingBase(cfg.Base)
	s.present.Store(&state{base: base, set: base, changed: make(chan struct{})})
	_, more := s.engine.SchemaRevisions()
	if err := s.refresh(ctx); err != nil {
		return nil, fmt.Errorf("registered schemas: %w", err)
	}
	if successor == nil {
		if err := s.admit(ctx, s.Set()); err != nil {
			return nil, err
		}
	}
	if err := s.history.keep(ctx, s.Set()); err != nil {
		return nil, err
	}
	if successor == nil {
		s.keep(ctx, base)
	} else if err := s.succeed(ctx, successor); err != nil {
		return nil, err
	}
	following, quit := context.WithCancel(context.WithoutCancel(ctx))
	s.quit = quit
	s.ended.Go(func() error { return s.follow(following, more) }, guard.Log(s.log, "following the registered schemas"))
	return s, nil
}

// Close ends the following.
func (s *Schemas) Close() {
	s.quit()
	s.ended.Wait()
}

// Set returns the event types in force.
func (s *Schemas) Set() *schema.Set { return s.present.Load().set }

// Loaded reports whether New put in force what the server was started with.
func (s *Schemas) Loaded() bool { return !s.refused }

// Compares reports whether schemas can change while the server runs.
func (s *Schemas) Compares() bool { return s.comparer != nil }

// Changed returns a channel that is closed once another set than the one that
// Set returned before or returns now is in force.
func (s *Schemas) Changed() <-chan struct{} { return s.present.Load().changed }

// retryAfter is the time after which what couldn't be taken over is tried again.
const retryAfter = 5 * time.Second

// follow takes over what other servers register.
func (s *Schemas) follow(ctx context.Context, more <-chan struct{}) error {
	var again <-chan time.Time
	for {
		select {
		case <-more:
		case <-again:
		case <-ctx.Done():
			return nil
		}
		_, more = s.engine.SchemaRevisions()
		s.changing <- struct{}{}
		again = nil
		if err := guard.Do(func() error { return s.refresh(ctx) }); err != nil {
			s.log.Error("registered schemas can't be used", "error", err)
			again = time.After(retryAfter)
		}
		<-s.changing
	}
}

// change lets one caller at a time change what is in force.
func (s *Schemas) change(ctx context.Context) (done func(), err error) {
	select {
	case s.changing <- struct{}{}:
		return func() { <-s.changing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh takes over what is registered. The caller holds changing, or nobody
// else knows s.
func (s *Schemas) refresh(ctx context.Context) error {
	before := s.present.Load()
	stored, _ := s.engine.SchemaRevisions()
	if len(stored) == len(before.registered) {
		return nil
	}
	after := &state{base: before.base, registered: slices.Clone(before.registered)}
	for _, one := range stored[len(before.registered):] {
		image, err := schema.ReadImage(one.GetImage())
		if err != nil {
			return err
		}
		after.registered = append(after.registered, revision{image, one.GetRevision()})
	}
	return s.install(ctx, before, after)
}

// install composes the set of a state and puts it in force, once the revisions of
// its types are stored: events name them. It returns an *InvalidError or one of
// history.keep.
func (s *Schemas) install(ctx context.Context, before, after *state) error {
	set, err := compose(after.base, after.registered).Set()
	if err != nil {
		return &InvalidError{err.Error()}
	}
	if err := s.history.keep(ctx, set); err != nil {
		return err
	}
	after.set, after.changed = set, make(chan struct{})
	s.present.Store(after)
	close(before.changed)
	if before.name() != after.name() {
		s.log.Info("schemas changed", "revision", after.name(), "before", before.name(), "event_types", len(set.Names(false)))
	}
	return nil
}

// compose puts what was registered over the base.
func compose(base *schema.Set, registered []revision) *schema.Image {
	image := base.Image()
	for _, one := range registered {
		image = image.Overlay(one.image)
	}
	return image
}
