package deploytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/workspace"
)

// startTimeout is how long a server may take to start on a busy machine.
const startTimeout = 2 * time.Minute

// access lets one key publish, whose hash is keys.yaml, made by `tidings key create`.
const access = `api_keys: keys.yaml
grants:
- principals: ["key:checkout"]
  roles: [publish]
  topics: [orders]
`

// machine is the directory that stands for the root of a machine on which the server is
// installed, with what the documents say that has to be there.
type machine struct {
	t       *testing.T
	dir     string
	program string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	program, err := testserver.Build(t.Context(), filepath.Join(root, "server"), "tidings", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := machine{t, t.TempDir(), program}
	m.run("", "dev-cert", "certs")
	m.run("checkout.key", "key", "create", "checkout")
	events, err := os.ReadFile(filepath.Join(root, "examples", "events", "events.binpb"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("events.binpb", events)
	m.write("access.yaml", []byte(access))
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	m.write("tidings.creds", []byte("-----BEGIN NATS USER JWT-----\nnobody.asks.here\n------END NATS USER JWT------\n"+
		"-----BEGIN USER NKEY SEED-----\n"+string(seed)+"\n------END USER NKEY SEED------\n"))
	return m
}

// run runs the program there. What it prints goes to a file, if any.
func (m machine) run(output string, args ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), m.program, args...)
	cmd.Dir, cmd.Env = m.dir, testserver.Environ()
	var problem bytes.Buffer
	cmd.Stderr = &problem
	printed, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("tidings %s: %v: %s", strings.Join(args, " "), err, &problem)
	}
	if output != "" {
		m.write(output, printed)
	}
}

func (m machine) write(name string, content []byte) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), content, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// here replaces the paths of a text by those of this machine, and its addresses by
// free ones.
func (m machine) here(text string) string {
	in := func(name string) string { return filepath.Join(m.dir, name) }
	return strings.NewReplacer(
		"0.0.0.0:7070", "127.0.0.1:0", "0.0.0.0:7071", "127.0.0.1:0",
		"/etc/tidings/tls/tls.crt", in("certs/server.pem"), "/etc/tidings/tls/tls.key", in("certs/server-key.pem"),
		"/etc/tidings/tls.crt", in("certs/server.pem"), "/etc/tidings/tls.key", in("certs/server-key.pem"),
		"/etc/tidings/access/access.yaml", in("access.yaml"), "/etc/tidings/access.yaml", in("access.yaml"),
		"/etc/tidings/schemas/events.binpb", in("events.binpb"), "/etc/tidings/events.binpb", in("events.binpb"),
		"/etc/tidings/nats/tidings.creds", in("tidings.creds"),
		"/var/lib/tidings/", m.dir+"/", "/var/log/tidings/", m.dir+"/",
	).Replace(text)
}

// serve starts the server, calls these paths of its HTTP port over TLS, and stops it
// within a time.
func (m machine) serve(within time.Duration, paths []string, args ...string) {
	m.t.Helper()
	ready := filepath.Join(m.dir, "ready.json")
	cmd := exec.CommandContext(context.WithoutCancel(m.t.Context()), m.program, append(args, "--ready-file", ready)...)
	cmd.Dir = m.dir
	process, err := testserver.Start(cmd)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = process.Kill() })
	var addresses struct {
		HTTP string `json:"http"`
	}
	if err := process.Await(m.t.Context(), startTimeout, func() (bool, error) {
		data, err := os.ReadFile(ready)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, errors.Join(err, json.Unmarshal(data, &addresses))
	}); err != nil {
		m.t.Fatalf("tidings %s: %v\n%s", strings.Join(args, " "), err, process.Output())
	}
	authority, err := os.ReadFile(filepath.Join(m.dir, "certs", "ca.pem"))
	if err != nil {
		m.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
	for _, path := range paths {
		request, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "https://"+addresses.HTTP+path, http.NoBody)
		if err != nil {
			m.t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			m.t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			m.t.Errorf("%s: %s", path, response.Status)
		}
	}
	client.CloseIdleConnections()
	if err := process.StopBy(syscall.SIGTERM, within); err != nil {
		m.t.Errorf("it doesn't stop: %v\n%s", err, process.Output())
	}
}

// The server takes the arguments of the Deployment, answers its probes, and stops in the
// time that it has.
func TestServerOfDeployment(t *testing.T) {
	pod := readManifests(t).deployment.Spec.Template.Spec
	container := pod.Containers[0]
	m := newMachine(t)
	nats, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(startTimeout) {
		t.Fatal("NATS doesn't start")
	}
	var args []string
	for _, arg := range container.Args {
		switch name, _, _ := strings.Cut(arg, "="); name {
		case "--nats-url":
			arg = "--nats-url=" + nats.ClientURL()
		case "--replicas":
			arg = "--replicas=1" // There is one NATS here.
		}
		args = append(args, m.here(arg))
	}
	var paths []string
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.ReadinessProbe, container.LivenessProbe} {
		if probe.HTTPGet.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("the probe of %s isn't over TLS", probe.HTTPGet.Path)
		}
		paths = append(paths, probe.HTTPGet.Path)
	}
	m.serve(time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second, paths, args...)
}

// The server takes the settings that the unit names.
func TestServerOfUnit(t *testing.T) {
	settings, err := os.ReadFile(operationsFile(t, "systemd", "tidings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	m.write("tidings.yaml", []byte(m.here(string(settings))))
	m.serve(time.Minute, []string{"/healthz", "/readyz"}, "serve", "--config", "tidings.yaml")
	for _, name := range []string{"audit.jsonl", "data"} {
		if _, err := os.Stat(filepath.Join(m.dir, name)); err != nil {
			t.Error(err)
		}
	}
}
