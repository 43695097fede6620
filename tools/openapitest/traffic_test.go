package openapitest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/workspace"
)

// TestRealCallsAreAsDescribed runs the conformance suite over Connect with JSON, and
// compares every request and answer with the document. What the server takes has to
// be described, and all that it answers.
func TestRealCallsAreAsDescribed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the server and the conformance suite")
	}
	root := checkout(t)
	bin := t.TempDir()
	suite, err := testserver.Build(t.Context(), filepath.Join(root, "conformance"), "tidings-conformance", bin)
	if err != nil {
		t.Fatal(err)
	}
	backend := startServer(t, root, bin, suite)
	described := readDocument(t, root)
	watcher := newWatcher(t, described, backend)
	output, err := program(t.Context(), bin, suite, "--url", watcher.url,
		"--transport", "connect-json-*", "--parallel", "4").CombinedOutput()
	if err != nil {
		t.Fatalf("the suite: %v: %s", err, output)
	}
	watcher.report(t)
}

func program(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, testserver.Environ()
	return cmd
}

// startServer starts this checkout's server with the schemas of the suite, and
// returns where it is.
func startServer(t *testing.T, root, bin, suite string) *url.URL {
	t.Helper()
	binary, err := testserver.Build(t.Context(), filepath.Join(root, "server"), "tidings", bin)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := program(t.Context(), bin, suite, "schemas").Output()
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(bin, "conformance.binpb")
	if err := os.WriteFile(image, schemas, 0o600); err != nil {
		t.Fatal(err)
	}
	buf, err := workspace.Buf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before its cleanups.
	server, err := testserver.Serve(t.Context(), program(context.WithoutCancel(t.Context()), bin, binary,
		"serve", "--data-dir", t.TempDir(), "--schemas", image, "--buf", buf, "--log-level", "error"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &url.URL{Scheme: "http", Host: server.HTTP}
}

// newWatcher starts a proxy in front of a server that sees all calls.
func newWatcher(t *testing.T, described *description, backend *url.URL) *watcher {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	over2 := new(http.Protocols)
	over2.SetUnencryptedHTTP2(true)
	w := &watcher{
		url: "http://" + listener.Addr().String(), backend: backend, transport: &http.Transport{Protocols: over2},
		described: described, seen: make(map[string]count),
	}
	server := &http.Server{Handler: w, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

// ServeHTTP passes a call on, and compares what was sent with the document.
func (w *watcher) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	sent := new(buffer)
	answer, err := w.pass(response, request, sent)
	contentType, _, _ := strings.Cut(request.Header.Get("Content-Type"), ";")
	switch {
	case contentType == streaming:
		// A client that has seen enough of a stream gives it up.
		w.stream(request, sent.bytes(), answer)
	case err != nil:
		w.count(request.URL.Path, "given up")
	case request.Method == http.MethodGet || contentType == unary && request.Header.Get("Content-Encoding") == "":
		w.unary(request, sent.bytes(), answer)
	default:
		w.count(request.URL.Path, "other")
	}
	if err != nil {
		panic(http.ErrAbortHandler) // The client learns it as it would without the proxy.
	}
}

// answer is what the server answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// pass passes a call on, and returns the answer when all of it has been sent.
// ReverseProxy doesn't do: it waits for the end of a stream that the client leaves
// open when the server has ended it.
func (w *watcher) pass(response http.ResponseWriter, request *http.Request, sent io.Writer) (answer, error) {
	out := request.Clone(request.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = w.backend.Scheme, w.backend.Host, ""
	// What is compressed can't be read here.
	out.Header.Set("Accept-Encoding", "identity")
	out.Header.Del("Connect-Accept-Encoding")
	out.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(request.Body, sent), request.Body}
	in, err := w.transport.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = in.Body.Close() }()
	got := answer{status: in.StatusCode, header: in.Header}
	maps.Copy(response.Header(), in.Header)
	response.WriteHeader(in.StatusCode)
	flusher := http.NewResponseController(response)
	if err := flusher.Flush(); err != nil {
		return got, err
	}
	chunk := make([]byte, 64<<10)
	for {
		n, err := in.Body.Read(chunk)
		got.body = append(got.body, chunk[:n]...)
		if _, err := response.Write(chunk[:n]); err != nil {
			return got, err
		}
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if err := flusher.Flush(); err != nil {
			return got, err
		}
	}
}
