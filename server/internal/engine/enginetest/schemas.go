package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func revisions(e engine.Engine) (names []string) {
	list, _ := e.SchemaRevisions()
	for _, one := range list {
		names = append(names, one.GetRevision())
	}
	return names
}

func testSchemas(t *testing.T, storage Storage) {
	open := storage(t)
	e, ctx := open(), testContext(t)
	if base := e.SchemaBase(); base != nil || len(revisions(e)) != 0 {
		t.Errorf("at first there are %v and %q", base, revisions(e))
	}
	for _, name := range []string{"base one", "base two"} {
		noErr(t, e.SetSchemaBase(ctx, &storagev1.SchemaRevision{Revision: name, Image: []byte(name)}))
	}
	for i, name := range []string{"one", "two"} {
		_, more := e.SchemaRevisions()
		noErr(t, e.AddSchemaRevision(ctx, i, &storagev1.SchemaRevision{Revision: name, Image: []byte(name)}))
		<-more
	}
	wantErr(t, e.AddSchemaRevision(ctx, 1, &storagev1.SchemaRevision{Revision: "late"}), engine.ErrRevision)
	e.Close()

	e = open()
	defer e.Close()
	list, _ := e.SchemaRevisions()
	if !slices.Equal(revisions(e), []string{"one", "two"}) || string(list[1].GetImage()) != "two" || list[1].GetFormat() != engine.ConfigFormat {
		t.Errorf("after a restart there are %v", list)
	}
	if base := e.SchemaBase(); base.GetRevision() != "base two" || string(base.GetImage()) != "base two" {
		t.Errorf("after a restart the base is %v", base)
	}

	// Of those who add at the same time, each number goes to one.
	for _, err := range together(8, func(i int) error {
		for {
			err := e.AddSchemaRevision(ctx, len(revisions(e)), &storagev1.SchemaRevision{Revision: fmt.Sprint(i)})
			if !errors.Is(err, engine.ErrRevision) {
				return err
			}
		}
	}) {
		noErr(t, err)
	}
	names := revisions(e)
	slices.Sort(names)
	if len(slices.Compact(names)) != 10 {
		t.Errorf("there are %q", revisions(e))
	}
}
