package daemon_test

import (
	"bufio"
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/schema/schematest"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// metrics reads the metrics of a server, each by its name with its labels.
func metrics(ctx context.Context, t *testing.T, p *process) map[string]string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.HTTP+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It is read to its end.
	if contentType := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Fatalf("%s, %s", response.Status, contentType)
	}
	values := make(map[string]string)
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "} "); ok {
			values[name+"}"] = value
		} else if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			values[name] = value
		}
	}
	return values
}

// wantMetrics waits until some metrics have certain values. It returns all.
func wantMetrics(t *testing.T, p *process, want map[string]string) map[string]string {
	t.Helper()
	ctx := deadline(t)
	for {
		all := metrics(ctx, t, p)
		got := maps.Clone(want)
		for name := range got {
			got[name] = all[name]
		}
		if maps.Equal(got, want) {
			return all
		}
		if ctx.Err() != nil {
			t.Fatalf("the metrics are %q, want %q", got, want)
		}
	}
}

// reloads are the metrics about the file of schemas.
func reloads(applied, refused, failed, last string) map[string]string {
	return map[string]string{
		`tidings_schema_reloads_total{outcome="applied"}`: applied,
		`tidings_schema_reloads_total{outcome="refused"}`: refused,
		`tidings_schema_reloads_total{outcome="failed"}`:  failed,
		"tidings_schema_last_reload_successful":           last,
	}
}

// replaceFile writes a file in one step, so that nobody reads half of it.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	cfg := withBuf(t)
	cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
	replaceFile(t, cfg.Schemas, schematest.Image(schematest.Event("notes.v1", "notes", "text string")))
	p := start(t, cfg)

	first := wantMetrics(t, p, reloads("0", "0", "0", "1"))
	if name := `tidings_build_info{goversion="` + runtime.Version() + `",version="` + daemon.Version + `"}`; first[name] != "1" {
		t.Errorf("%s is %q", name, first[name])
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if first[name] == "" && (runtime.GOOS == "linux" || name == "go_goroutines") {
			t.Errorf("there is no %s", name)
		}
	}
	before := revisionOf(t, first)

	more := schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32"))
	replaceFile(t, cfg.Schemas, more)
	applied := revisionOf(t, wantMetrics(t, p, reloads("1", "0", "0", "1")))
	if applied == before {
		t.Errorf("the revision is still %s", applied)
	}
	replaceFile(t, cfg.Schemas, schematest.Image(schematest.Event("notes.v1", "notes", "text int32")))
	if refused := revisionOf(t, wantMetrics(t, p, reloads("1", "1", "0", "0"))); refused != applied {
		t.Errorf("a refused file changes the revision to %s", refused)
	}
	replaceFile(t, cfg.Schemas, more)
	wantMetrics(t, p, reloads("2", "1", "0", "1"))
	// A link to itself, which nobody can read. It comes in one step, since each
	// attempt to read it counts.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Base(cfg.Schemas), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, cfg.Schemas); err != nil {
		t.Fatal(err)
	}
	wantMetrics(t, p, reloads("2", "1", "1", "0"))

	registered, err := registerFile(t.Context(), p, t, schematest.Event("others.v1", "", "text string"))
	if err != nil {
		t.Fatal(err)
	}
	if got := revisionOf(t, metrics(t.Context(), t, p)); got != registered.GetRevision() {
		t.Errorf("the revision is %s, registered was %s", got, registered.GetRevision())
	}
}

// revisionOf returns the revision of the schemas, as the metrics have it.
func revisionOf(t *testing.T, values map[string]string) string {
	t.Helper()
	var revisions []string
	for name, value := range values {
		if rest, ok := strings.CutPrefix(name, `tidings_schema_info{revision="`); ok && value == "1" {
			revisions = append(revisions, strings.TrimSuffix(rest, `"}`))
		}
	}
	if len(revisions) != 1 {
		t.Fatalf("the revisions are %q", revisions)
	}
	return revisions[0]
}

// With the plugin, what it finds is refused too, over the network and in the
// file.
func TestPlugin(t *testing.T) {
	t.Parallel()
	cfg := withBuf(t)
	var err error
	if cfg.BufPlugin, err = buftest.BuildPlugin(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
	replaceFile(t, cfg.Schemas, schematest.Image(schematest.Event("notes.v1", "notes", "text string")))
	p := start(t, cfg)
	elsewhere := schematest.Image(schematest.Event("notes.v1", "elsewhere", "text string"))

	verdict, err := tidingsv1beta1.NewSchemaServiceClient(p.dial(t)).CheckCompatibility(t.Context(), &tidingsv1beta1.CheckCompatibilityRequest{Image: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	if len(verdict.GetViolations()) != 1 {
		t.Fatalf("%v", verdict)
	}
	violation := verdict.GetViolations()[0]
	if violation.GetRuleId() != "TIDINGS_EVENT_SAME_TOPIC" || violation.GetElement() != "notes.v1.Noted" || violation.GetFile() != "things/notes.v1.proto" {
		t.Errorf("%v", violation)
	}
	replaceFile(t, cfg.Schemas, elsewhere)
	wantMetrics(t, p, reloads("0", "1", "0", "0"))
	replaceFile(t, cfg.Schemas, schematest.Image(schematest.Event("notes.v1", "notes", "text string", "count int32")))
	wantMetrics(t, p, reloads("1", "1", "0", "1"))
}
