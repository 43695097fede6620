package governance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/schema"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// What a server is started with is kept in the storage, so that the next start is
// held to it as a change of the running server would be. Only a server that
// compares nothing takes whatever it is started with.

// Replace puts another base in force: what it declares takes the place of what
// the present one does, of which the rest stays. It returns an
// *IncompatibleError, an *InvalidError, a *ConflictError or another error of
// Config.Admit, ErrNoComparer, the comparer's error, the engine's ErrTooLarge,
// ErrFull and ErrUnavailable, or the context's.
func (s *Schemas) Replace(ctx context.Context, base *schema.Set) error {
	if bytes.Equal(base.Revision(), s.present.Load().base.Revision()) {
		s.sayIgnored(base.Image())
		return nil // A file that was put back: there is nothing to compare.
	}
	done, err := s.change(ctx)
	if err != nil {
		return err
	}
	defer done()
	s.sayIgnored(base.Image())
	return s.replace(ctx, base)
}

func (s *Schemas) replace(ctx context.Context, base *schema.Set) error {
	present := s.present.Load()
	// What is as before isn't held to what was registered over it.
	c, err := s.candidateOf(ctx, present, base.Image().Lacking(present.base.Image()))
	if err != nil {
		return err
	}
	verdict, err := s.judge(ctx, c)
	if err != nil {
		return err
	}
	if len(verdict.Violations) > 0 {
		return &IncompatibleError{verdict.Violations}
	}
	next, err := base.Image().Succeeding(present.base.Image()).Set()
	if err != nil {
		return &InvalidError{err.Error()}
	}
	if err := s.install(ctx, present, &state{base: next, registered: present.registered}); err != nil {
		return err
	}
	if left := without(next.Names(true), base); len(left) > 0 {
		s.log.Info("event types that are left out stay in force", "types", some(left))
	}
	s.keep(ctx, next)
	return nil
}

// startingBase returns the base to begin with, and what is to succeed it, or nil.
func (s *Schemas) startingBase(given *schema.Set) (base, successor *schema.Set) {
	stored := s.engine.SchemaBase()
	if stored == nil || stored.GetRevision() == schema.FormatRevision(given.Revision()) {
		return given, nil
	}
	image, err := schema.ReadImage(stored.GetImage())
	if err == nil {
		// What only describes is this server's.
		base, err = given.Image().Describing().Overlay(image).Set()
	}
	if err != nil {
		s.log.Error("what the server was started with before can't be used", "error", err)
		return given, nil
	}
	if s.comparer != nil {
		return base, given
	}
	if lost := without(base.Names(true), given); len(lost) > 0 {
		s.log.Warn("event types are no longer known: nothing is compared without Buf", "types", some(lost))
	}
	return given, nil
}

// succeed replaces the base of the start before, or logs why it doesn't. It
// returns an error where the base isn't admitted.
func (s *Schemas) succeed(ctx context.Context, base *schema.Set) error {
	err := s.replace(ctx, base)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*ConflictError](err); ok {
		return err
	}
	s.refused = true
	var violations []string
	if incompatible, ok := errors.AsType[*IncompatibleError](err); ok {
		for _, v := range incompatible.Violations {
			violations = append(violations, fmt.Sprintf("%s: %s: %s (against revision %s)", v.Place(), v.Rule, v.Message, v.Against))
		}
	}
	s.log.Error("schemas of this start not loaded, those of the start before stay in force", "error", err, "violations", some(violations))
	return nil
}

// keep stores a base for the next start.
func (s *Schemas) keep(ctx context.Context, base *schema.Set) {
	revision := schema.FormatRevision(base.Revision())
	if s.engine.SchemaBase().GetRevision() == revision {
		return
	}
	var err error
	for _, comments := range []bool{true, false} {
		var image []byte
		if image, err = base.Image().EncodeAll(comments); err != nil {
			break
		}
		err = s.engine.SetSchemaBase(ctx, &storagev1.SchemaRevision{Image: image, Revision: revision, CreateTime: timestamppb.Now()})
		if !errors.Is(err, engine.ErrTooLarge) {
			break
		}
	}
	if err != nil {
		s.log.Warn("the schemas can't be kept for the next start, which is compared with those before", "error", err)
	}
}

// without returns the names that a set has no types of.
func without(names []string, set *schema.Set) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, err := set.Type(name)
		return err == nil
	})
}

// some returns what is logged of a list.
func some(list []string) []string {
	const most = 100
	return list[:min(len(list), most)]
}

// sayIgnored logs which messages of schemas are no event types although somebody
// may have meant them to be.
func (s *Schemas) sayIgnored(image *schema.Image) {
	ignored := image.Ignored()
	if len(ignored) == 0 {
		return
	}
	const most = 10
	names := strings.Join(ignored[:min(len(ignored), most)], ", ")
	if more := len(ignored) - most; more > 0 {
		names = fmt.Sprintf("%s and %d more", names, more)
	}
	s.log.Warn("messages that are no event types, because their packages are reserved", "messages", names)
}
