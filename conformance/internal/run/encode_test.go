package run

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/match"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func find(t *testing.T, rpc string) protoreflect.MethodDescriptor {
	t.Helper()
	found, err := contract.Find(rpc)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestOpaquePayload sends bytes that aren't an encoding of their type.
func TestOpaquePayload(t *testing.T) {
	request := map[string]any{"events": []any{
		map[string]any{"id": "a", "data": map[string]any{"$type": "${url}", "$bytes": "CgVhYg=="}},
	}}
	values := match.Values{"url": "example.com/a.B"}
	data, err := encoding{}.encode(request, find(t, "Publish").Input(), values)
	if err != nil {
		t.Fatal(err)
	}
	got := new(tidingsv1.PublishRequest)
	if err := proto.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	payload := got.GetEvents()[0].GetData()
	if payload.GetTypeUrl() != "example.com/a.B" || string(payload.GetValue()) != "\n\x05ab" {
		t.Errorf("sent is %q of %q", payload.GetValue(), payload.GetTypeUrl())
	}
	if _, err := (encoding{json: true}).encode(request, find(t, "Publish").Input(), values); err == nil {
		t.Error("it is sent in JSON")
	}
}

// TestDecode leaves out what a newer server sends, and nothing else.
func TestDecode(t *testing.T) {
	const answer = `{"topic": {"name": "a", "later": [1]}, "later": {}}`
	got, err := encoding{json: true}.decode([]byte(answer), find(t, "GetTopic").Output())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := match.Match(map[string]any{"topic": map[string]any{"name": "a", "etag": "$absent", "statistics": "$absent"}}, got, nil); err != nil {
		t.Error(err)
	}
	for form, broken := range map[encoding]string{{json: true}: `{"topic": {"name": 1}}`, {}: "\x0a\x05ab"} {
		if _, err := form.decode([]byte(broken), find(t, "GetTopic").Output()); err == nil || !strings.Contains(err.Error(), "the response is no tidings.v1.GetTopicResponse") {
			t.Errorf("%q gives %v", broken, err)
		}
	}
}

// TestFrames takes batches apart, however they are cut.
func TestFrames(t *testing.T) {
	c := &call{encoding: encoding{json: true}}
	c.spec.RPC = find(t, "Read")
	for answer, want := range map[string][]string{
		`{"events": {"events": [{"sequence": "1"}, {"sequence": "2"}]}}`: {"events", "events"},
		`{"caughtUp": {"cursor": "c"}}`:                                  {"caughtUp"},
		`{"later": {}}`:                                                  {""},
	} {
		content, err := c.encoding.decode([]byte(answer), c.spec.RPC.Output())
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, frame := range c.frames(content) {
			kinds = append(kinds, frame.kind)
		}
		if strings.Join(kinds, " ") != strings.Join(want, " ") || len(kinds) != len(want) {
			t.Errorf("%s gives the frames %q, want %q", answer, kinds, want)
		}
	}
}

// TestMaskOfEverything sends the path that protojson doesn't know.
func TestMaskOfEverything(t *testing.T) {
	for _, mask := range []string{"*", "*,settings.owner", "settings.eventTypes,*"} {
		request := func() map[string]any {
			return map[string]any{"topic": map[string]any{"name": "a"}, "updateMask": mask}
		}
		data, err := encoding{}.encode(request(), find(t, "UpdateTopic").Input(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := new(tidingsv1.UpdateTopicRequest)
		if err := proto.Unmarshal(data, got); err != nil {
			t.Fatal(err)
		}
		if paths := strings.Join(got.GetUpdateMask().GetPaths(), ","); paths != strings.ReplaceAll(mask, "eventTypes", "event_types") {
			t.Errorf("%q is sent as %q", mask, paths)
		}
		if data, err = (encoding{json: true}).encode(request(), find(t, "UpdateTopic").Input(), nil); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `"updateMask":"`+mask+`"`) {
			t.Errorf("%q is sent as %s", mask, data)
		}
	}
}
