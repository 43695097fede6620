package eventjson

import (
	"slices"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A mask in JSON may have the path of everything, which protojson refuses.
func TestWildcards(t *testing.T) {
	for text, want := range map[string][]string{
		`{"updateMask":"*"}`:                                   {"*"},
		`{"update_mask":"*","topic":{"name":"a"}}`:             {"*"},
		`{ "updateMask" : "\u002a" }`:                          {"*"},
		`{"updateMask":"*,settings.owner,*"}`:                  {"*", "settings.owner", "*"},
		`{"updateMask":"settings.eventTypes,*"}`:               {"settings.event_types", "*"},
		`{"updateMask":"settings.owner"}`:                      {"settings.owner"},
		`{"updateMask":""}`:                                    nil,
		`{"updateMask":null}`:                                  nil,
		`{"topic":{"name":"*"}}`:                               nil,
		"{\"topic\":{\"name\":\"é*\"},\n\"updateMask\":\"*\"}": {"*"},
	} {
		request := new(tidingsv1.UpdateTopicRequest)
		if err := Parse([]byte(text), request, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := request.GetUpdateMask().GetPaths(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{
		`{"updateMask":"settings.*"}`, `{"updateMask":"**"}`, `{"updateMask":" *"}`, `{"updateMask":["*"]}`, `{"updateMask":"*"`,
		`{"updateMask":"*","update_mask":"*"}`, `{"updateMask":{"paths":["*"]}}`, `["*"]`, `{"topic":{"settings":{"updateMask":"*"}}}`,
	} {
		if err := Parse([]byte(text), new(tidingsv1.UpdateTopicRequest), nil); err == nil {
			t.Errorf("%s: taken", text)
		}
	}
}

// What is wrong beside it keeps its place, and the text isn't changed.
func TestWildcardsKeepPlaces(t *testing.T) {
	text := []byte(`{"updateMask":"*","topic":{"nome":"a"}}`)
	before := slices.Clone(text)
	err := Parse(text, new(tidingsv1.UpdateTopicRequest), nil)
	refused, ok := err.(*Error) //nolint:errorlint // It is what is promised.
	if !ok || refused.Column != 28 || refused.Path != "topic.nome" {
		t.Errorf("%#v", err)
	}
	if !slices.Equal(text, before) {
		t.Errorf("the text is now %s", text)
	}
}
