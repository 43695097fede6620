package service

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Sources that are URI-references, the last of which plainSource leaves to the
// rules, and some that are none.
var (
	goodSources = []string{
		"/", "/shop", "shop", "shop/a:b", "a.b-c_d~e", "/a:b", "/a@b", "?a:b", "/a?b=c&d=/e?f",
		"https://github.com/octo/hello", "http://h", "http://h:80", "http://h:80/p", "http://h:/p", "http://", "//h/p", "///p", "file:///a",
		"urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:a@b.example", "com.example:x", "a+1.2-3:", "x:/y", "x:y/z",
		"/a%20b", "/%C3%A9%e2", "h(1)!$&'*+,;=", "..", "./a:b", "1/a:b",
		"/a#b", "http://u:p@h/", "http://[::1]:80/", "a@b", "a%41",
	}
	badSources = []string{
		"", " ", "/a b", "/a%zz", "/a%2", "/a%", "http://[x", "<>{}", "/a|b", "/a\\b", "/a^b", "/a`b", "/a\"b", "/[", "1a:b", "a_b:c", "a%41:b", "a@b:c", ":a",
		"http://h:8o/", "http://h:80:81/", "http://a@b@c/", "/é", "/a#b#c", "/a\x00b", "/a\u0085b",
	}
	goodTexts = []string{"a", "a b", "é", "☕", "\u00a0", "\ufdcf", "\ufdf0", "\ufffd", "\U0001f3ff", "\U0001fffd", "\U0010fffd", "a\u200bb"}
	badTexts  = []string{
		"\x00", "a\x1f", "\r\n", "\x7f", "\u0080", "a\u009f", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff", "\U000afffe",
	}
)

func TestSources(t *testing.T) {
	refused := func(source string) bool {
		return checkRules(&tidingsv1.Event{Id: "1", Source: source, Data: new(anypb.Any)}, tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID) != nil
	}
	for i, source := range goodSources {
		if refused(source) {
			t.Errorf("%q is refused", source)
		}
		if left := i >= len(goodSources)-5; plainSource(source) == left {
			t.Errorf("%q: that it takes the long way is %t", source, !left)
		}
	}
	for _, source := range badSources {
		if !refused(source) || plainSource(source) {
			t.Errorf("%q is taken", source)
		}
	}
	if plainSource(strings.Repeat("a", 513)) {
		t.Error("513 characters are taken")
	}
}

func TestTexts(t *testing.T) {
	// Each field is refused by itself.
	fields := func(text string) map[string]*tidingsv1.Event {
		return map[string]*tidingsv1.Event{
			"id":              {Id: text, Source: "/", Data: new(anypb.Any)},
			"subject":         {Id: "1", Source: "/", Subject: text, Data: new(anypb.Any)},
			"partition_key":   {Id: "1", Source: "/", PartitionKey: new(text), Data: new(anypb.Any)},
			`attributes["a"]`: {Id: "1", Source: "/", Attributes: map[string]string{"a": text}, Data: new(anypb.Any)},
		}
	}
	for _, text := range goodTexts {
		for field, event := range fields(text) {
			if err := checkRules(event, tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID); err != nil {
				t.Errorf("%q in %s: %v", text, field, err)
			}
		}
		if !plainText(text, 512) || !plainKey(text) {
			t.Errorf("%q isn't plain", text)
		}
	}
	for _, text := range badTexts {
		for field, event := range fields(text) {
			err := checkRules(event, tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID)
			if refusal, ok := errors.AsType[*Error](err); !ok || refusal.Fields[0].GetField() != field {
				t.Errorf("%q in %s: %v", text, field, err)
			}
		}
		if plainText(text, 512) || plainKey(text) {
			t.Errorf("%q is plain", text)
		}
	}
	if !plainKey(strings.Repeat("é", 512)) || plainKey(strings.Repeat("é", 513)) || plainKey("\xff") {
		t.Error("a key is measured in characters of UTF-8")
	}
}
