package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

func testTypes(t *testing.T, storage Storage) {
	open := storage(t)
	e, ctx := open(), testContext(t)
	list := func() []*storagev1.TypeRevisions {
		list, err := e.TypeRevisions(ctx)
		noErr(t, err)
		return list
	}
	add := func(after int64, name string, contents ...string) error {
		revisions, byHash := &storagev1.TypeRevisions{Types: []*storagev1.TypeRevision{{Name: name}}}, make(map[string][]byte)
		for _, content := range contents {
			byHash["\x00\xff"+content] = []byte(content)
		}
		return e.AddTypeRevisions(ctx, after, revisions, byHash)
	}
	if len(list()) != 0 {
		t.Errorf("at first there are %v", list())
	}
	_, err := e.SchemaFile(ctx, "none")
	wantErr(t, err, engine.ErrRecordNotFound)
	noErr(t, add(0, "one", "a", "b"))
	noErr(t, add(1, "two", "b", "c"))
	wantErr(t, add(1, "late", "d"), engine.ErrRevision)
	wantErr(t, add(2, "large", strings.Repeat("x", e.MaxRecordBytes()+1)), engine.ErrTooLarge)
	for range 2 {
		for i, name := range []string{"one", "two"} {
			if found := list(); len(found) != 2 || found[i].GetTypes()[0].GetName() != name || found[i].GetNumber() != int64(i+1) || found[i].GetFormat() != engine.ConfigFormat {
				t.Fatalf("there are %v", found)
			}
		}
		for _, content := range []string{"a", "b", "c"} {
			if got, err := e.SchemaFile(ctx, "\x00\xff"+content); err != nil || string(got) != content {
				t.Errorf("the content is %q, %v", got, err)
			}
		}
		e.Close()
		e = open()
	}
	defer func() { e.Close() }()

	// Of those who add at the same time, each number goes to one.
	for _, err := range together(8, func(i int) error {
		for {
			found, err := e.TypeRevisions(ctx)
			if err == nil {
				err = add(int64(len(found)), fmt.Sprint(i), "a")
			}
			if !errors.Is(err, engine.ErrRevision) {
				return err
			}
		}
	}) {
		noErr(t, err)
	}
	names := make(map[string]bool)
	for i, one := range list() {
		names[one.GetTypes()[0].GetName()] = one.GetNumber() == int64(i+1)
	}
	if len(names) != 10 || len(list()) != 10 {
		t.Errorf("there are %v", list())
	}
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
