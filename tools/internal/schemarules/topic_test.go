package schemarules

import (
	"slices"
	"testing"
)

func TestDeclarationsOfTopics(t *testing.T) {
	testCases(t, []ruleCase{
		{name: "once", is: `option (tidings.options.v1.topic) = {name: "orders"};
option (tidings.options.v1.topic) = {name: "parcels" settings: {owner: "us" retention: {max_age: {seconds: 60} max_bytes: 5}}};`},
		{name: "twice", is: `option (tidings.options.v1.topic) = {name: "orders"};
option (tidings.options.v1.topic) = {name: "parcels"};
option (tidings.options.v1.topic) = {name: "orders"}; //! TIDINGS_TOPIC_DECLARED_ONCE`},
		{name: "names that are none", is: `option (tidings.options.v1.topic) = {
  name: "Orders" //! TIDINGS_TOPIC_SETTINGS
};
option (tidings.options.v1.topic) = {
  name: "tidings-audit" //! TIDINGS_TOPIC_SETTINGS
};
option (tidings.options.v1.topic) = { //! TIDINGS_TOPIC_SETTINGS
  settings: {owner: "us"}
};`},
		{name: "settings that nobody can have", is: `option (tidings.options.v1.topic) = {
  name: "orders"
  settings: {
    event_types: ["a.B", "a.B"] //! TIDINGS_TOPIC_SETTINGS
    dedupe_window: {nanos: 5} //! TIDINGS_TOPIC_SETTINGS
    retention: {
      max_bytes: -1 //! TIDINGS_TOPIC_SETTINGS
    }
  }
};`},
		{name: "types that go to it and aren't taken", is: `option (tidings.options.v1.topic) = {
  name: "orders"
  settings: {
    event_types: ["shop.orders.v1.A", "other.v1.C"] //! TIDINGS_TOPIC_SETTINGS
  }
};
message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "orders"}; }`},
		{name: "types that go to it and are", is: `option (tidings.options.v1.topic) = {name: "orders" settings: {event_types: ["*"]}};
option (tidings.options.v1.topic) = {name: "parcels"};
message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "parcels"}; }`},
		{name: "an event of a reserved one", is: `message A {
  option (tidings.options.v1.event) = {topic: "tidings-audit"}; //! TIDINGS_EVENT_TOPIC
}`},
	})
}

// A topic is declared once over all files, also those of other packages.
func TestDeclarationsInSeveralFiles(t *testing.T) {
	file := func(name, rest string) string {
		return `syntax = "proto3"; package ` + name + `; import "tidings/options/v1/options.proto";
` + rest
	}
	found := run(t, nil, schemaFiles{
		"a/v1/a.proto": file("a.v1", `option (tidings.options.v1.topic) = {name: "orders"};`),
		"b/v1/b.proto": file("b.v1", `option (tidings.options.v1.topic) = {name: "orders"};`),
	})
	if len(found) != 1 || found[0].rule != "TIDINGS_TOPIC_DECLARED_ONCE" || found[0].line != 2 {
		t.Errorf("found %v", found)
	}
	// One that moves from file to file stays.
	was := schemaFiles{
		"a/v1/a.proto": file("a.v1", `option (tidings.options.v1.topic) = {name: "orders"};`),
		"b/v1/b.proto": file("b.v1", ""),
	}
	is := schemaFiles{
		"a/v1/a.proto": file("a.v1", ""),
		"b/v1/b.proto": file("b.v1", `option (tidings.options.v1.topic) = {name: "orders"};`),
	}
	if found := run(t, was, is); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	is["b/v1/b.proto"] = file("b.v1", "")
	found = run(t, was, is)
	if len(found) != 1 || found[0].rule != "TIDINGS_TOPIC_NO_DELETE" || found[0].file != "a/v1/a.proto" {
		t.Errorf("found %v", found)
	}
	// Nor is there the file any more.
	delete(is, "a/v1/a.proto")
	found = slices.DeleteFunc(run(t, was, is), func(f finding) bool { return f.rule == "TIDINGS_STABLE_PACKAGE_NO_DELETE" })
	if len(found) != 1 || found[0].rule != "TIDINGS_TOPIC_NO_DELETE" || found[0].file != "" {
		t.Errorf("found %v", found)
	}
}

func TestChangesOfTopics(t *testing.T) {
	const was = `option (tidings.options.v1.topic) = {
  name: "orders"
  settings: {
    dedupe: DEDUPE_EVENT
    dedupe_window: {seconds: 600}
    retention: {max_age: {seconds: 60} max_bytes: 100}
  }
};
message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "orders"}; }
message C {}`
	testCases(t, []ruleCase{
		{name: "nothing", was: was, is: was},
	})
	settings := func(settings string) string {
		return `option (tidings.options.v1.topic) = {
  name: "orders"
  settings: {
` + settings + `
  }
};
message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "orders"}; }
message C {}`
	}
	testCases(t, []ruleCase{
		{
			name: "longer, larger and described", was: was,
			is: settings(`description: "Orders." owner: "us" dedupe: DEDUPE_EVENT
dedupe_window: {seconds: 601} retention: {max_age: {seconds: 61} max_bytes: 101}`),
		},
		{name: "without bounds", was: was, is: settings(`dedupe: DEDUPE_EVENT dedupe_window: {seconds: 600}`)},
		{
			name: "another dedupe", was: was,
			is: settings(`dedupe: DEDUPE_REQUEST //! TIDINGS_TOPIC_SAME_DEDUPE
dedupe_window: {seconds: 600}`),
		},
		{name: "the dedupe of who says none", was: settings(`dedupe: DEDUPE_REQUEST`), is: settings(`owner: "us"`)},
		{
			name: "another dedupe by saying none", was: was,
			is: `option (tidings.options.v1.topic) = {name: "orders" settings: {dedupe_window: {seconds: 600}}}; //! TIDINGS_TOPIC_SAME_DEDUPE
message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "orders"}; }
message C {}`,
		},
		{
			name: "shorter in every way", was: was,
			is: settings(`dedupe: DEDUPE_EVENT
dedupe_window: {seconds: 599} //! TIDINGS_TOPIC_NO_SHORTEN
retention: {
  max_age: {seconds: 59} //! TIDINGS_TOPIC_NO_SHORTEN
  max_bytes: 99 //! TIDINGS_TOPIC_NO_SHORTEN
}`),
		},
		{
			name: "bounds where there were none", was: settings(`owner: "us"`),
			is: settings(`retention: {
  max_age: {seconds: 3153600000} //! TIDINGS_TOPIC_NO_SHORTEN
  max_bytes: 9000000000000000000 //! TIDINGS_TOPIC_NO_SHORTEN
}`),
		},
		{name: "the window of who says none", was: settings(`owner: "us"`), is: settings(`dedupe_window: {seconds: 120}`)},
		{name: "less than that", was: settings(`owner: "us"`), is: settings(`dedupe_window: {seconds: 119} //! TIDINGS_TOPIC_NO_SHORTEN`)},
		{name: "declared for the first time", was: "message A {}", is: settings(`retention: {max_age: {seconds: 1}}`)},
	})
}

func TestTypesOfTopics(t *testing.T) {
	schema := func(settings, rest string) string {
		return `option (tidings.options.v1.topic) = {
  name: "orders"
  settings: {
    ` + settings + `
  }
};
` + rest + "\nmessage C {}"
	}
	const ab = `message A { option (tidings.options.v1.event) = {topic: "orders"}; }
message B { option (tidings.options.v1.event) = {topic: "orders"}; }`
	const a = `message A { option (tidings.options.v1.event) = {topic: "orders"}; }`
	const narrow = " //! TIDINGS_TOPIC_TYPES_NO_NARROW"
	testCases(t, []ruleCase{
		{name: "the same in other words", was: schema("", ab), is: schema(`event_types: ["shop.orders.v1.B", "shop.orders.v1.A"]`, ab)},
		{name: "more", was: schema(`event_types: ["shop.orders.v1.A"]`, a), is: schema(`event_types: ["shop.orders.v1.A", "shop.orders.v1.C"]`, a)},
		{name: "any", was: schema("", ab), is: schema(`event_types: ["*"]`, ab)},
		{name: "one more that declares it", was: schema("", a), is: schema("", ab)},
		{
			name: "less", was: schema(`event_types: ["shop.orders.v1.A", "shop.orders.v1.C"]`, a),
			is: schema(`event_types: ["shop.orders.v1.A"]`+narrow, a),
		},
		{name: "declared ones only", was: schema(`event_types: ["*"]`, ab), is: schema(`event_types: ["shop.orders.v1.A", "shop.orders.v1.B", "shop.orders.v1.C"]`+narrow, ab)},
		{
			name: "the first that declares it", was: schema("", "message A {}"),
			is: `option (tidings.options.v1.topic) = {name: "orders" settings: {owner: "us"}};` + narrow + "\n" + a + "\nmessage C {}",
		},
		{name: "a name that was no type", was: schema(`event_types: ["shop.orders.v1.A", "no.Type"]`, a), is: schema(`event_types: ["shop.orders.v1.A"]`, a)},
		{
			name: "a type that leaves for another topic, as another rule says", was: schema("", ab),
			is: schema("", a+`
message B {
  option (tidings.options.v1.event) = {topic: "others"}; //! TIDINGS_EVENT_SAME_TOPIC
}`),
		},
	})
}
