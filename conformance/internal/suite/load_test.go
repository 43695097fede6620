package suite_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"example.com/tidings/conformance/internal/suite"
)

// good is a file without a mistake, for the tests to make one.
const good = `rpc: GetTopic
values:
  a: {id: a, source: /suite, data: {"@type": "${every_kind}", name: a}}
setup:
  - rpc: CreateTopic
    request: {topic: {name: "${topic}"}}
    response: {topic: {etag: $save etag}}
cases:
  - name: first
    says: What is promised.
    steps:
      - rpc: Publish
        request: {topic: "${topic}", events: ["${a}"]}
      - rpc: GetTopic
        request: {name: "${topic}"}
        response: {topic: {etag: "${etag}", statistics: {latestSequence: $any}}}
      - rpc: Read
        call: reader
        request: {topic: "${topic}"}
        responses: [{caughtUp: {}}]
      - call: reader
        cancel: true
      - rpc: GetTopic
        request: {name: Upper}
        error: {reason: REQUEST_INVALID, fields: [name]}
`

func load(contents string) ([]suite.Case, error) {
	return suite.Load(fstest.MapFS{"topics.yaml": {Data: []byte(contents)}})
}

func TestLoad(t *testing.T) {
	cases, err := load(good)
	if err != nil || len(cases) != 1 {
		t.Fatalf("%v, %v", cases, err)
	}
	c := cases[0]
	if c.Name != "tidings.v1.TopicService/GetTopic/first" || c.Place != "topics.yaml:9" || len(c.Steps) != 6 ||
		c.Steps[0].Place != "topics.yaml:5" || c.Steps[5].Place != "topics.yaml:23" {
		t.Errorf("%+v", c)
	}
	want := "tidings.v1.TopicService/CreateTopic tidings.v1.PublisherService/Publish tidings.v1.TopicService/GetTopic tidings.v1.ReaderService/Read"
	if got := strings.Join(c.Calls(), " "); got != want {
		t.Errorf("it calls %s, want %s", got, want)
	}
}

// TestBadFiles wants each mistake to be told with its file and line.
func TestBadFiles(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"no YAML":                    {"rpc: GetTopic", "rpc: [", "line 2"},
		"a field of no file":         {"cases:\n", "casses:\n", "topics.yaml:8:1 unknown field \"casses\""},
		"a field of no step":         {"        cancel: true", "        cancle: true", "topics.yaml:22:9 unknown field \"cancle\""},
		"no RPC of the file":         {"rpc: GetTopic\nvalues", "rpc: GetTopik\nvalues", `topics.yaml:1: rpc: the contract has no RPC "GetTopik"`},
		"no RPC of a step":           {"- rpc: Publish", "- rpc: Publisch", `topics.yaml:12: tidings.v1.TopicService/GetTopic/first: the contract has no RPC "Publisch"`},
		"a bad name":                 {"name: first", "name: The First", "topics.yaml:9"},
		"nothing promised":           {"says: What is promised.", `says: ""`, "topics.yaml:10"},
		"a field of no request":      {`request: {name: "${topic}"}`, `request: {nom: "${topic}"}`, `topics.yaml:15: tidings.v1.TopicService/GetTopic/first: tidings.v1.GetTopicRequest has no field "nom" in JSON`},
		"a field of no response":     {"latestSequence: $any", "lastSequence: $any", `topics.yaml:16: tidings.v1.TopicService/GetTopic/first: tidings.v1.TopicStatistics has no field "topic.statistics.lastSequence" in JSON`},
		"a name of the schema":       {"latestSequence: $any", "latest_sequence: $any", `topics.yaml:16: `},
		"a value that isn't there":   {`etag: "${etag}"`, `etag: "${tag}"`, "topics.yaml:16: tidings.v1.TopicService/GetTopic/first: nothing gives ${tag} a value before this step"},
		"a matcher that isn't there": {"latestSequence: $any", "latestSequence: $anything", `topics.yaml:16: tidings.v1.TopicService/GetTopic/first: there is no matcher "$anything"`},
		"a pattern that is none":     {"latestSequence: $any", "latestSequence: $matches (", "topics.yaml:16: "},
		"no such reason":             {"reason: REQUEST_INVALID", "reason: REQUEST_WRONG", `topics.yaml:25: tidings.v1.TopicService/GetTopic/first: error: the catalogue has no reason "REQUEST_WRONG"`},
		"neither reason nor code":    {"reason: REQUEST_INVALID, ", "", "topics.yaml:25: tidings.v1.TopicService/GetTopic/first: error: either a reason or, without one, a code"},
		"a call that isn't open":     {"- call: reader", "- call: writer", `topics.yaml:21: tidings.v1.TopicService/GetTopic/first: no step before opened a call "writer"`},
		"neither rpc nor call":       {"- call: reader\n        cancel: true", "- response: {}", "topics.yaml:21: tidings.v1.TopicService/GetTopic/first: the step has neither rpc nor call"},
		"both ways without the need": {"- rpc: Publish\n        request:", "- rpc: PublishStream\n        request:", "topics.yaml:12: tidings.v1.TopicService/GetTopic/first: tidings.v1.PublisherService/PublishStream needs FEATURE_FULL_DUPLEX, which the case doesn't say"},
		"raw without the need":       {"request: {name: Upper}", "raw: {json: '{}'}", "topics.yaml:23: tidings.v1.TopicService/GetTopic/first: raw.json needs FEATURE_JSON, which the case doesn't say"},
		"two requests for one":       {"request: {name: Upper}", "requests: [{name: Upper}]", "topics.yaml:23: tidings.v1.TopicService/GetTopic/first: the RPC takes one request"},
		"a deadline too late":        {"- call: reader\n", "- call: reader\n        deadline: 1s\n", "topics.yaml:21: tidings.v1.TopicService/GetTopic/first: deadline is for the step that begins the call"},
		"a frame that isn't there":   {"        responses: [{caughtUp: {}}]", "        responses: [{caughtUp: {}}]\n        ignore: [heartbeet]", `topics.yaml:17: tidings.v1.TopicService/GetTopic/first: ignore: tidings.v1.ReaderService/Read has no frame "heartbeet"`},
		"a name of the suite":        {"values:\n  a:", "values:\n  topic: x\n  a:", "values.topic: every case has a value of this name"},
		"schemas that don't compile": {"    says: What is promised.", "    says: What is promised.\n    schemas: {x: 'syntax = \"proto3\"; package a; mesage X {}'}", "topics.yaml:9: tidings.v1.TopicService/GetTopic/first: schemas.x: conformance/case.proto:1:"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatal("there is nothing to change")
			}
			if _, err := load(bad); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestSameNameTwice(t *testing.T) {
	_, err := suite.Load(fstest.MapFS{"a.yaml": {Data: []byte(good)}, "b.yaml": {Data: []byte(good)}})
	if want := "b.yaml:9: a case of the name tidings.v1.TopicService/GetTopic/first is at a.yaml:9"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %s", err, want)
	}
}
