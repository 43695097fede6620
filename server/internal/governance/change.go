package governance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// Verdict is what came of comparing schemas with those in force.
type Verdict struct {
	// Before and After are the revisions without and with the schemas.
	Before, After string
	// Violations are what they break, ordered by revision and place.
	Violations []Violation
	// Compared is the number of revisions that were compared with.
	Compared int
}

// Changes reports whether the schemas differ from those in force.
func (v *Verdict) Changes() bool { return v.Before != v.After }

// candidate is schemas that might be put in force over a state.
type candidate struct {
	over  *state
	image *schema.Image // What was given.
	set   *schema.Set   // What would be in force.
}

// Check says what would break if the schemas of an encoded image were
// registered. Its errors are an *InvalidError, a *ConflictError or another error of
// Config.Admit, ErrNoComparer, the comparer's or the context's.
func (s *Schemas) Check(ctx context.Context, encoded []byte) (*Verdict, error) {
	if err := s.checking.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.checking.Release(1)
	c, err := s.newCandidate(ctx, s.present.Load(), encoded)
	if err != nil {
		return nil, err
	}
	return s.judge(ctx, c)
}

// Register puts the schemas of an encoded image in force, here and in every
// other server, or with validateOnly only reports whether it would. expected is the
// revision that is to be in force before, or empty. The errors are Check's, an
// *IncompatibleError, a *RevisionError, and the engine's ErrTooLarge, ErrFull
// and ErrUnavailable.
func (s *Schemas) Register(ctx context.Context, encoded []byte, expected string, validateOnly bool) (*Verdict, error) {
	done, err := s.change(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		// What another server registered may not have come through follow yet.
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
		verdict, err := s.register(ctx, encoded, expected, validateOnly)
		if !errors.Is(err, engine.ErrRevision) {
			return verdict, err
		}
	}
}

// register is one attempt: it returns the engine's ErrRevision where another
// server was faster.
func (s *Schemas) register(ctx context.Context, encoded []byte, expected string, validateOnly bool) (*Verdict, error) {
	present := s.present.Load()
	if expected != "" && expected != present.name() {
		return nil, &RevisionError{expected, present.name()}
	}
	c, err := s.newCandidate(ctx, present, encoded)
	if err != nil {
		return nil, err
	}
	verdict, err := s.judge(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case len(verdict.Violations) > 0:
		return nil, &IncompatibleError{verdict.Violations}
	case !verdict.Changes() || validateOnly:
		return verdict, nil
	}
	// First, so that nothing is registered that can't be put in force.
	if err := s.history.keep(ctx, c.set); err != nil {
		return nil, err
	}
	stored, err := c.image.Encode(present.base.Image())
	if err != nil {
		return nil, err
	}
	err = s.engine.AddSchemaRevision(ctx, len(present.registered), &storagev1.SchemaRevision{
		Image: stored, Revision: verdict.After, CreateTime: timestamppb.Now(),
	})
	if err != nil {
		return nil, err
	}
	s.sayIgnored(c.image)
	return verdict, s.refresh(ctx)
}

func (s *Schemas) newCandidate(ctx context.Context, over *state, encoded []byte) (*candidate, error) {
	image, err := schema.ReadBoundedImage(encoded)
	if err == nil {
		err = image.SelfContained(over.base.Image())
	}
	if err != nil {
		return nil, &InvalidError{err.Error()}
	}
	return s.candidateOf(ctx, over, image)
}

// candidateOf returns what would be in force with an image. Its errors are an
// *InvalidError, those of Config.Admit or the context's.
func (s *Schemas) candidateOf(ctx context.Context, over *state, image *schema.Image) (*candidate, error) {
	set, err := over.set.Image().Overlay(image).Set()
	if err == nil {
		err = set.CheckRules(ctx, image, 1) // Calls go on beside it.
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if missing, ok := errors.AsType[*schema.MissingError](err); ok && !image.Has(missing.File) {
		err = fmt.Errorf("%s needs %s, which the image no longer declares; the image leaves the file out, so it stays", missing.File, missing.Name)
	}
	if err != nil {
		return nil, &InvalidError{err.Error()}
	}
	if err := s.admit(ctx, set); err != nil {
		return nil, err
	}
	return &candidate{over, image, set}, nil
}

// judge compares a candidate with every revision that is live: the base and all
// that was registered. Only the packages that the candidate changes are
// compared: for the rest, that was done when they came in force. A revision that
// has nothing of them, or has them as the candidate does, has nothing to be
// broken.
//
// What breaks nothing of what is in force breaks nobody: what is in force differs
// from earlier revisions only as it was let to, by this release or by one with
// other rules.
func (s *Schemas) judge(ctx context.Context, c *candidate) (*Verdict, error) {
	verdict := &Verdict{Before: c.over.name(), After: schema.FormatRevision(c.set.Revision())}
	if s.comparer == nil {
		return nil, ErrNoComparer // Even where nothing changes: who relies on checks learns it now.
	}
	newer, present := c.set.Image(), c.over.set.Image()
	packages := newer.Differences(present)
	reached := compat.Reached(c.over.set.Files())
	var older []revision
	inForce := -1 // The index of a revision that has what is in force.
	for _, one := range c.over.live() {
		if newer.Holds(one.image, packages) {
			continue
		}
		if one.image.Holds(present, packages) {
			inForce = len(older)
		}
		older = append(older, one)
	}
	if inForce < 0 && !newer.Holds(present, packages) {
		inForce = len(older)
		older = append(older, revision{present, c.over.name()})
	}
	found := make([][]Violation, len(older))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxComparisons)
	for i, one := range older {
		group.Go(guard.Func(func() (err error) {
			found[i], err = s.compare(ctx, newer, one, packages, reached)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if verdict.Compared = len(older); inForce >= 0 && len(found[inForce]) > 0 {
		verdict.Violations = slices.Concat(found...)
	}
	return verdict, nil
}

// live returns the revisions that a topic may hold events of, the oldest first.
func (s *state) live() []revision {
	live := []revision{{s.base.Image(), schema.FormatRevision(s.base.Revision())}}
	for _, one := range s.registered {
		live = append(live, revision{s.base.Image().Describing().Overlay(one.image), one.name})
	}
	return live
}

func (s *Schemas) compare(ctx context.Context, newer *schema.Image, older revision, packages map[string]bool, reached compat.Reach) (found []Violation, err error) {
	if err := s.running.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.running.Release(1)
	violations, err := s.comparer.Compare(ctx, newer, older.image, packages, reached)
	for _, v := range violations {
		found = append(found, Violation{v, older.name})
	}
	return found, err
}
