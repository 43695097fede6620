package schema

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

func topic(name string, settings *optionsv1.TopicSettings) *optionsv1.TopicOptions {
	return &optionsv1.TopicOptions{Name: name, Settings: settings}
}

// declaring returns a file `things/PACKAGE.proto` that declares topics, and one
// event type of one of them.
func declaring(pkg, of string, topics ...*optionsv1.TopicOptions) *descriptorpb.FileDescriptorProto {
	return schematest.Declaring(schematest.Event(pkg, of, "one string"), topics...)
}

func TestTopics(t *testing.T) {
	settings := &optionsv1.TopicSettings{Owner: "us", Dedupe: optionsv1.Dedupe_DEDUPE_EVENT, EventTypes: []string{"a.Noted", "*"}}
	set, err := Parse(image(t, declaring("a", "ones"), declaring("b", "twos", topic("twos", settings), topic("threes", nil)), declaring("c", "")))
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Topics(); !slices.Equal(got, []string{"ones", "threes", "twos"}) {
		t.Errorf("the topics are %q", got)
	}
	if got := set.DeclaredTopic("twos"); got == nil || got.Name != "twos" || got.File != "things/b.proto" || !proto.Equal(got.Settings, settings) {
		t.Errorf("twos is %v", got)
	}
	if got := set.DeclaredTopic("threes"); got == nil || got.Settings.GetDedupe() != 0 {
		t.Errorf("threes is %v", got)
	}
	for _, name := range []string{"ones", "fours", ""} {
		if got := set.DeclaredTopic(name); got != nil {
			t.Errorf("%q is declared: %v", name, got)
		}
	}
	if got := set.TypesOf("ones"); !slices.Equal(got, []string{"a.Noted"}) {
		t.Errorf("the types of ones are %q", got)
	}
	if got := set.TypesOf("threes"); len(got) != 0 {
		t.Errorf("the types of threes are %q", got)
	}
}

func TestTakes(t *testing.T) {
	set, err := Parse(image(t, declaring("a", "ones"), declaring("b", "ones"), declaring("c", "twos"), declaring("d", "", topic("threes", nil))))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		topic      string
		eventTypes []string
		want       string // The packages of the types that it takes.
	}{
		"those that declare it":         {"ones", nil, "a b"},
		"declared, without a type":      {"threes", nil, "a b c d"},
		"created":                       {"fours", nil, "a b c d"},
		"any":                           {"ones", []string{AnyType}, "a b c d"},
		"any among others":              {"ones", []string{"a.Noted", AnyType}, "a b c d"},
		"named":                         {"ones", []string{"a.Noted"}, "a"},
		"named of another":              {"ones", []string{"a.Noted", "c.Noted"}, "a c"},
		"named, that is no type":        {"ones", []string{"x.Noted"}, ""},
		"named in one that nobody has":  {"fours", []string{"d.Noted"}, "d"},
		"another's, by its declaration": {"twos", nil, "c"},
	} {
		var takes []string
		for _, pkg := range []string{"a", "b", "c", "d"} {
			noted, err := set.Type(pkg + ".Noted")
			if err != nil {
				t.Fatal(err)
			}
			if set.Takes(test.topic, test.eventTypes, noted) {
				takes = append(takes, pkg)
			}
		}
		if got := strings.Join(takes, " "); got != test.want {
			t.Errorf("%s: it takes %q, want %q", name, got, test.want)
		}
	}
}

// A declaration with a mistake is refused, with its file.
func TestTopicRefused(t *testing.T) {
	unknown := topic("ones", &optionsv1.TopicSettings{})
	unknown.GetSettings().ProtoReflect().SetUnknown([]byte{0x98, 0x06, 0x01}) // Field 99.
	ones := func(settings *optionsv1.TopicSettings) []*descriptorpb.FileDescriptorProto {
		return []*descriptorpb.FileDescriptorProto{declaring("a", "", topic("ones", settings))}
	}
	for name, test := range map[string]struct {
		files []*descriptorpb.FileDescriptorProto
		want  []string
	}{
		"twice in a file": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", topic("ones", nil), topic("ones", nil))},
			[]string{"things/a.proto", "the topic ones", "twice"},
		},
		"in two files": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", topic("ones", nil)), declaring("b", "", topic("ones", nil))},
			[]string{"things/a.proto", "things/b.proto", "the topic ones"},
		},
		"no name": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", topic("", nil))}, []string{"things/a.proto", "name: ", "pattern"},
		},
		"bad name": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", topic("Ones", nil))}, []string{"things/a.proto", `"Ones"`, "name: "},
		},
		"reserved": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", topic("tidings-audit", nil))}, []string{"things/a.proto", "reserved"},
		},
		"reserved, named by a type": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "tidings-audit")}, []string{"a.Noted", "tidings.options.v1.event", "reserved"},
		},
		"unknown type": {
			ones(&optionsv1.TopicSettings{EventTypes: []string{"a.Noted", "a.Lost"}}),
			[]string{"things/a.proto", `"ones"`, "settings.event_types[1]", `"a.Lost"`},
		},
		"long owner":  {ones(&optionsv1.TopicSettings{Owner: strings.Repeat("o", 257)}), []string{"things/a.proto", "settings.owner"}},
		"dedupe":      {ones(&optionsv1.TopicSettings{Dedupe: 9}), []string{"things/a.proto", "settings.dedupe"}},
		"short age":   {ones(&optionsv1.TopicSettings{Retention: &optionsv1.Retention{MaxAge: &durationpb.Duration{Nanos: 5}}}), []string{"settings.retention.max_age"}},
		"no duration": {ones(&optionsv1.TopicSettings{DedupeWindow: &durationpb.Duration{Seconds: 60, Nanos: -1}}), []string{"settings.dedupe_window", "not a duration"}},
		"a setting of another release": {
			[]*descriptorpb.FileDescriptorProto{declaring("a", "", unknown)}, []string{"things/a.proto", "settings", "field 99"},
		},
	} {
		_, err := Parse(image(t, test.files...))
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", name, err, part)
			}
		}
	}
}

// A topic that is declared in another file than before has moved there.
func TestOverlayMovesTopics(t *testing.T) {
	imageOf := func(files ...*descriptorpb.FileDescriptorProto) *Image {
		read, err := ReadImage(image(t, files...))
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	old, fresh := &optionsv1.TopicSettings{Owner: "old"}, &optionsv1.TopicSettings{Owner: "new"}
	// It imports the file that the topic came from.
	user := declaring("b", "", topic("ones", fresh))
	user.Dependency = append(user.Dependency, "things/a.proto")
	user.GetMessageType()[0].Field[0].TypeName, user.MessageType[0].Field[0].Type = new(".a.Noted"), descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	before := imageOf(declaring("a", "", topic("ones", old), topic("twos", old)))
	after, err := before.Overlay(imageOf(user, declaring("a", ""))).Set()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.DeclaredTopic("twos"); got != nil {
		t.Errorf("twos is declared in %s, though its file has it no more", got.File)
	}
	alone := schematest.Declaring(schematest.Event("c", "", "one string"), topic("ones", fresh))
	after, err = before.Overlay(imageOf(alone)).Set()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.DeclaredTopic("ones"); got == nil || got.File != "things/c.proto" || got.Settings.GetOwner() != "new" {
		t.Errorf("ones is %v", got)
	}
	if got := after.DeclaredTopic("twos"); got == nil || got.File != "things/a.proto" || got.Settings.GetOwner() != "old" {
		t.Errorf("twos is %v", got)
	}
	// A file that only declared topics stays, for those who import it.
	bare := schematest.Declaring(&descriptorpb.FileDescriptorProto{
		Name: new("things/topics.proto"), Package: new("a"), Syntax: new("proto3"), Dependency: []string{"tidings/options/v1/options.proto"},
	}, topic("ones", old))
	importer := declaring("d", "")
	importer.Dependency = append(importer.Dependency, "things/topics.proto")
	after, err = imageOf(bare, importer).Overlay(imageOf(alone)).Set()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.DeclaredTopic("ones"); got == nil || got.File != "things/c.proto" {
		t.Errorf("ones is %v", got)
	}
}

// What a client may declare is bounded.
func TestTooManyTopics(t *testing.T) {
	file := declaring("a", "")
	var topics []*optionsv1.TopicOptions
	for i := range maxTopics + 1 {
		topics = append(topics, topic("t"+strings.Repeat("a", i%50)+"-"+strings.Repeat("b", i/50)+"c", nil))
	}
	if _, err := ReadBoundedImage(schematest.Image(schematest.Declaring(file, topics[1:]...))); err != nil {
		t.Error(err)
	}
	if _, err := ReadBoundedImage(schematest.Image(schematest.Declaring(file, topics...))); err == nil || !strings.Contains(err.Error(), "1001 topics") {
		t.Errorf("%v", err)
	}
}
