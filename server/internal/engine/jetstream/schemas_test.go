package engine

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

func revisions(e *Engine) (names []string) {
	list, _ := e.SchemaRevisions()
	for _, one := range list {
		names = append(names, one.GetRevision())
	}
	return names
}

func TestSchemaRevisions(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	e := openEngine(t, dir)
	_, more := e.SchemaRevisions()
	for i, name := range []string{"one", "two"} {
		if err := e.AddSchemaRevision(ctx, i, &storagev1.SchemaRevision{Revision: name, Image: []byte(name)}); err != nil {
			t.Fatal(err)
		}
	}
	<-more
	wantErr(t, e.AddSchemaRevision(ctx, 1, &storagev1.SchemaRevision{Revision: "late"}), ErrRevision)
	wantErr(t, e.AddSchemaRevision(ctx, 2, &storagev1.SchemaRevision{Image: make([]byte, 2<<20)}), ErrTooLarge)
	e.Close()

	e = openEngine(t, dir)
	defer e.Close()
	list, _ := e.SchemaRevisions()
	if len(list) != 2 || list[0].GetRevision() != "one" || string(list[1].GetImage()) != "two" || list[1].GetFormat() != configFormat {
		t.Errorf("after a restart: %v", list)
	}
}

// What a server was started with is kept beside what is registered.
func TestSchemaBase(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	e := openEngine(t, dir)
	if base := e.SchemaBase(); base != nil {
		t.Errorf("at first: %v", base)
	}
	for _, name := range []string{"one", "two"} {
		if err := e.SetSchemaBase(ctx, &storagev1.SchemaRevision{Revision: name, Image: []byte(name)}); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, e.SetSchemaBase(ctx, &storagev1.SchemaRevision{Image: make([]byte, 2<<20)}), ErrTooLarge)
	e.Close()

	e = openEngine(t, dir)
	defer e.Close()
	if base := e.SchemaBase(); base.GetRevision() != "two" || string(base.GetImage()) != "two" || len(revisions(e)) != 0 {
		t.Errorf("after a restart: %v, %q", base, revisions(e))
	}
}

// Of those who add at the same time, each number goes to one.
func TestAddSchemaRevisionAtOnce(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	const writers = 8
	var ended sync.WaitGroup
	for i := range writers {
		ended.Go(func() {
			for {
				after := len(revisions(e))
				err := e.AddSchemaRevision(ctx, after, &storagev1.SchemaRevision{Revision: fmt.Sprint(i)})
				if err == nil {
					return
				}
				if !errors.Is(err, ErrRevision) {
					t.Error(err)
					return
				}
			}
		})
	}
	ended.Wait()
	seen := make(map[string]bool)
	for _, name := range revisions(e) {
		seen[name] = true
	}
	if len(seen) != writers {
		t.Errorf("there are %v", seen)
	}
}

// Schemas of a later form keep those after them from being used, and new ones
// from being added.
func TestSchemaRevisionOfALaterForm(t *testing.T) {
	e, ctx := newEngine(t), t.Context()
	if err := e.AddSchemaRevision(ctx, 0, &storagev1.SchemaRevision{Revision: "one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.schemas.entries.kv.Create(ctx, "2", []byte{0x08, 0x02}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, e.AddSchemaRevision(ctx, 1, &storagev1.SchemaRevision{Revision: "two"}), ErrUnavailable)
	if got := revisions(e); len(got) != 1 || got[0] != "one" {
		t.Errorf("there are %v", got)
	}
}
