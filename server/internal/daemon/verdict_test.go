package daemon_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/daemon"
)

// judged is a server in this process with a file of schemas.
type judged struct {
	log  logged
	url  string
	stop func()
}

func startJudged(t *testing.T, cfg daemon.Config) *judged {
	t.Helper()
	j := &judged{log: make(logged, 1000)}
	cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx, cfg, slog.New(j.log)) }()
	j.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return j
}

// serving waits until the server serves.
func (j *judged) serving(t *testing.T) {
	t.Helper()
	_, rest, _ := strings.Cut(j.log.next(t, "serving ", ""), "http=")
	addr, _, _ := strings.Cut(rest, " ")
	j.url = "http://" + addr + "/"
}

// call makes a call in JSON and returns the response, or the reason of the error.
func (j *judged) call(t *testing.T, method, request string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, j.url+method, strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It is read to its end.
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return string(body)
	}
	for _, reason := range []string{"SCHEMA_INCOMPATIBLE", "SCHEMA_INVALID"} {
		if bytes.Contains(body, []byte(reason)) {
			return reason
		}
	}
	t.Fatalf("%s: %s", method, body)
	return ""
}

// data returns the event as it is shown.
func (j *judged) data(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`"data":(\{.*?\})\}`).FindStringSubmatch(j.call(t, "tidings.v1.ReaderService/GetEvent", `{"topic":"t","sequence":1}`))
	if found == nil {
		t.Fatal("no event is shown")
	}
	return found[1]
}

// TestOneVerdict: whether the server is asked, has them registered, has its file
// changed or is started anew with another one, the same is said of the same
// schemas, and what was stored before is shown as before.
func TestOneVerdict(t *testing.T) {
	t.Parallel()
	const beside = "package z.v1; message Z { string z = 1; }"
	for _, test := range []struct {
		name         string
		older, newer map[string]string
		event        string
		refused      bool
	}{
		{"an addition", map[string]string{"a.proto": "package x.v1; message E { string s = 1; }"}, map[string]string{"a.proto": "package x.v1; message E { string s = 1; int32 i = 2; }"}, `"s":"a"`, false},
		{"a package left out", map[string]string{"a.proto": "package x.v1; message E { string s = 1; }", "z.proto": beside}, map[string]string{"z.proto": beside + " message Y {}"}, `"s":"a"`, false},
		{"a renamed file", map[string]string{"a.proto": "package x.v1; message E { string s = 1; }"}, map[string]string{"b.proto": "package x.v1; message E { string s = 1; }"}, `"s":"a"`, false},
		{"a message moves", map[string]string{"a.proto": "package x.v1; message E { string s = 1; F f = 2; } message F { string s = 1; }"},
			map[string]string{"a.proto": `package x.v1; import "b.proto"; message E { string s = 1; F f = 2; }`, "b.proto": "package x.v1; message F { string s = 1; }"}, `"f":{"s":"a"}`, false},
		{"an import falls away", map[string]string{"a.proto": `package x.v1; import "google/protobuf/any.proto"; import "google/protobuf/timestamp.proto"; message E { google.protobuf.Timestamp t = 1; } message R { google.protobuf.Any a = 1; } service S { rpc G(R) returns (R); }`},
			map[string]string{"a.proto": `package x.v1; import "google/protobuf/timestamp.proto"; message E { google.protobuf.Timestamp t = 1; } message R { reserved 1; } service S { rpc G(R) returns (stream R); }`}, `"t":"2026-01-01T00:00:00Z"`, false},
		{"unsigned", map[string]string{"a.proto": "package x.v1; message E { int32 i = 1; }"}, map[string]string{"a.proto": "package x.v1; message E { uint32 i = 1; }"}, `"i":-1`, true},
		{"a reserved field", map[string]string{"a.proto": "package x.v1; message E { string s = 1; }"}, map[string]string{"a.proto": `package x.v1; message E { reserved 1; reserved "s"; }`}, `"s":"a"`, true},
		{"an alias before a name", map[string]string{"a.proto": "package x.v1; message E { K k = 1; } enum K { K_U = 0; K_A = 1; }"},
			map[string]string{"a.proto": "package x.v1; message E { K k = 1; } enum K { option allow_alias = true; K_U = 0; K_B = 1; K_A = 1; }"}, `"k":"K_A"`, true},
		{"no presence", map[string]string{"a.proto": "package x.v1; message E { optional string s = 1; }"}, map[string]string{"a.proto": "package x.v1; message E { string s = 1; }"}, `"s":""`, true},
		{"a message is gone", map[string]string{"a.proto": "package x.v1; message E { string s = 1; } message F {}"}, map[string]string{"a.proto": "package x.v1; message F {}"}, `"s":"a"`, true},
		{"what stays needs what is gone", map[string]string{"a.proto": "package x.v1; message F {}", "b.proto": `package x.v1; import "a.proto"; message E { string s = 1; F f = 2; }`},
			map[string]string{"a.proto": "package x.v1; message G {}"}, `"s":"a"`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			older, newer := build(t, test.older), build(t, test.newer)
			cfg := withBuf(t)
			cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
			write := func(image []byte) {
				if err := os.WriteFile(cfg.Schemas, image, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(older)
			j := startJudged(t, cfg)
			j.serving(t)
			j.call(t, "tidings.v1.TopicService/CreateTopic", `{"topic":{"name":"t"}}`)
			j.call(t, "tidings.v1.PublisherService/Publish", `{"topic":"t","events":[{"id":"1","source":"/t","data":{"@type":"type.googleapis.com/x.v1.E",`+test.event+`}}]}`)
			before := j.data(t)
			if !strings.Contains(before, test.event) {
				t.Errorf("shown as %s", before)
			}
			request := fmt.Sprintf(`{"image":%q}`, base64.StdEncoding.EncodeToString(newer))
			if said := j.call(t, "tidings.v1beta1.SchemaService/CheckCompatibility", request); (strings.Contains(said, "violations") || said == "SCHEMA_INVALID") != test.refused {
				t.Errorf("checked: %s", said)
			}
			if said := j.call(t, "tidings.v1beta1.SchemaService/RegisterSchema", strings.Replace(request, "{", `{"validateOnly":true,`, 1)); strings.HasPrefix(said, "SCHEMA_") != test.refused {
				t.Errorf("registered: %s", said)
			}
			write(newer)
			outcome := reloaded
			if test.refused {
				outcome = notReloaded
			}
			j.log.next(t, outcome, "")
			if after := j.data(t); after != before {
				t.Errorf("after the reload it is shown as %s, before as %s", after, before)
			}
			// The file as it was, so that the start is the change.
			if !test.refused {
				j.stop()
				cfg.DataDir = t.TempDir()
				write(older)
				j = startJudged(t, cfg)
				j.serving(t)
				j.call(t, "tidings.v1.TopicService/CreateTopic", `{"topic":{"name":"t"}}`)
				j.call(t, "tidings.v1.PublisherService/Publish", `{"topic":"t","events":[{"id":"1","source":"/t","data":{"@type":"type.googleapis.com/x.v1.E",`+test.event+`}}]}`)
				j.stop()
				write(newer)
			} else {
				j.stop()
			}
			j = startJudged(t, cfg)
			if test.refused {
				j.log.next(t, "schemas of this start not loaded", "")
			}
			j.serving(t)
			if after := j.data(t); after != before {
				t.Errorf("after the start it is shown as %s, before as %s", after, before)
			}
			j.stop()
		})
	}
}

func build(t *testing.T, sources map[string]string) []byte {
	t.Helper()
	for path, source := range sources {
		sources[path] = `syntax = "proto3"; ` + source
	}
	return buftest.Build(t, sources)
}

// Without a Buf nothing is compared: the file of the start counts, and the log
// says which types go.
func TestStartWithoutBuf(t *testing.T) {
	t.Parallel()
	cfg := withBuf(t)
	cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
	for i, source := range []string{"package x.v1; message E { string s = 1; }", "package x.v1; message F {}", "package x.v1; message F {} message G {}"} {
		image := build(t, map[string]string{"a.proto": source})
		if err := os.WriteFile(cfg.Schemas, image, 0o600); err != nil {
			t.Fatal(err)
		}
		j := startJudged(t, cfg)
		if i == 1 {
			j.log.next(t, "event types are no longer known", "[x.v1.E]")
		}
		j.serving(t)
		got := j.call(t, "tidings.v1.SchemaService/ListEventTypes", `{"includeUndeclared":true,"pageSize":1000}`)
		for _, name := range []string{"E", "F", "G"} {
			if want := strings.Contains(source, "message "+name); strings.Contains(got, "x.v1."+name) != want {
				t.Errorf("start %d: x.v1.%s, want %t", i, name, want)
			}
		}
		j.stop()
		if cfg.Buf = ""; i == 1 {
			cfg.Buf = withBuf(t).Buf // What came without it is what the next is compared with.
		}
	}
}
