package runner

import (
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/process"
)

// A program with a credential has to be refused without one, and to publish with one.
func TestAccess(t *testing.T) {
	r, _ := newRunner(t)
	var err error
	if r.Secure, err = process.StartSecure(t.Context(), root, filepath.Join(t.TempDir(), "secure")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Secure.Stop(); err != nil {
			t.Error(err)
		}
	})
	const (
		refused = `[ -n "$TIDINGS_TOKEN_FILE" ] || { echo UNAUTHENTICATED; exit 1; }; `
		publish = `curl -sf --cacert "$TIDINGS_CA_FILE" -H "Authorization: Bearer $(cat "$TIDINGS_TOKEN_FILE")" --json ` +
			`'{"topic":"'"$TIDINGS_TOPIC"'","events":[{"id":"1","source":"/interop","data":{"@type":"type.googleapis.com/tidings.conformance.v1.EveryKind","name":"a","email":"ada@example.com"}}]}' ` +
			`"$TIDINGS_URL/tidings.v1.PublisherService/Publish" >&2; `
	)
	for name, test := range map[string]struct{ run, want string }{
		"right":        {refused + publish, ""},
		"publishes-no": {refused, "access: the runner: the topic holds [], want one event of key:interop"},
		"not-refused":  {"true", "access: without a credential it ended with <nil>"},
		"other-code":   {"echo UNAVAILABLE; exit 1", `said "UNAVAILABLE", want a failure and UNAUTHENTICATED`},
		"fails":        {refused + "echo PERMISSION_DENIED; exit 1", "access: with a credential it ended with exit status 1"},
	} {
		problem := r.access(t.Context(), client.Client{Name: name, Dir: t.TempDir(), Access: client.Access{Run: test.run}})
		if !strings.Contains(problem, test.want) || (problem == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, problem, test.want)
		}
	}
}
