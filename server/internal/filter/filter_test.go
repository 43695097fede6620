package filter

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func TestAll(t *testing.T) {
	set := things(t)
	for _, f := range []*tidingsv1.EventFilter{nil, {}} {
		m, err := Compile(f, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Match(t.Context(), []byte("no event")); !m.All() || !got || err != nil {
			t.Errorf("%v: %t, %t, %v", f, m.All(), got, err)
		}
	}
	for _, f := range []*tidingsv1.EventFilter{{EventTypes: []string{thing}}, {Attributes: exactly("id", "1")}, {Cel: "true"}} {
		m, err := Compile(f, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.All() {
			t.Errorf("%v takes all", f)
		}
		if got, err := m.Match(t.Context(), []byte("no event")); got || err == nil {
			t.Errorf("%v: what is no event gives %t, %v", f, got, err)
		}
	}
}

func TestTypes(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, bareEvent, thing, `{}`)
	for _, test := range []struct {
		types []string
		want  bool
	}{{[]string{thing}, true}, {[]string{other}, false}, {[]string{other, thing}, true}} {
		m, err := Compile(&tidingsv1.EventFilter{EventTypes: test.types}, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Match(t.Context(), raw); got != test.want || err != nil {
			t.Errorf("%q: %t, %v", test.types, got, err)
		}
	}
	// Nothing else is looked at where the type is wrong.
	broken := &tidingsv1.Event{Id: "1", Source: "/s", Subject: "s"}
	m, err := Compile(&tidingsv1.EventFilter{EventTypes: []string{other}, Cel: "data.number == '1' || event.id == '1'"}, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := Failures()
	if got, err := m.Match(t.Context(), encoded(t, set, broken, thing, `{}`)); got || err != nil || Failures() != before {
		t.Errorf("%t, %v, %d failures", got, err, Failures()-before)
	}
	_, err = Compile(&tidingsv1.EventFilter{EventTypes: []string{thing, "test.Nothing"}, Cel: "!"}, set, nil)
	if unknown, ok := errors.AsType[*UnknownTypeError](err); !ok || unknown.Name != "test.Nothing" || unknown.Field != "event_types[1]" || !errors.Is(err, schema.ErrUnknownType) {
		t.Errorf("an unknown type gives %v", err)
	}
}

// Every part of a filter has to hold.
func TestParts(t *testing.T) {
	set := things(t)
	raw := encoded(t, set, fullEvent, thing, `{"number":"7"}`)
	for _, types := range []struct {
		list []string
		want bool
	}{{nil, true}, {[]string{thing, other}, true}, {[]string{other}, false}} {
		for _, attributes := range []struct {
			filter *tidingsv1.AttributeFilter
			want   bool
		}{{nil, true}, {exactly("id", "id-1"), true}, {exactly("id", "-"), false}} {
			for _, expression := range []struct {
				cel  string
				want bool
			}{{"", true}, {"string(data.number) == '7'", true}, {"string(data.number) == '8'", false}} {
				f := &tidingsv1.EventFilter{EventTypes: types.list, Attributes: attributes.filter, Cel: expression.cel}
				m, err := Compile(f, set, []string{thing})
				if err != nil {
					t.Errorf("%v: %v", f, err)
					continue
				}
				want := types.want && attributes.want && expression.want
				if got, err := m.Match(t.Context(), raw); err != nil || got != want {
					t.Errorf("%v: %t, %v", f, got, err)
				}
			}
		}
	}
}

func TestTopicTypes(t *testing.T) {
	set := things(t)
	for _, test := range []struct {
		topic string
		types []string
		want  []string
	}{
		{"things", nil, []string{thing}},
		{"others", nil, nil},
		{"things", []string{other, "test.Gone"}, []string{other, "test.Gone"}},
	} {
		if got := TopicTypes(test.topic, &storagev1.TopicConfig{EventTypes: test.types}, set); !slices.Equal(got, test.want) {
			t.Errorf("topic %q with %q: %q", test.topic, test.types, got)
		}
	}
}

// A matcher is shared by many, and meets types that it has to compile for.
func TestConcurrent(t *testing.T) {
	set := things(t)
	m, err := Compile(&tidingsv1.EventFilter{Attributes: beginning("id", "id-"), Cel: "data.number == 7 || data.labels.exists(l, l == 'x')"}, set, []string{thing})
	if err != nil {
		t.Fatal(err)
	}
	events := map[bool][]byte{
		true:  encoded(t, set, fullEvent, thing, `{"number":"7"}`),
		false: encoded(t, set, fullEvent, other, `{"number":"7"}`),
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				for want, raw := range events {
					if got, err := m.Match(t.Context(), raw); got != want || err != nil {
						t.Errorf("%t, %v; want %t", got, err, want)
					}
				}
			}
		})
	}
	group.Wait()
}
