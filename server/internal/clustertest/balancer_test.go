package clustertest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// balancerNames is the variable with the names of the balancers, joined by
	// commas, or "all". Empty: the test is left out.
	balancerNames = "TIDINGS_BALANCERS"
	// balancerFiles has their configuration, as operators take it.
	balancerFiles = "../../../docs/operations/balancers"
	balancerPort  = "443"
	// patienceOfFiles is how long a stream may be silent by these files, and
	// impatience what makes it shorter, to see what becomes of idle streams.
	patienceOfFiles = "60s"
	impatience      = "4s"
)

// balancer is a program that spreads the calls of clients over the replicas.
type balancer struct {
	name string
	file string
	// command returns what starts it. dir is for what it writes.
	command func(config, dir string) []string
	// hangs reports whether it notices a replica that hangs before it has answered.
	// nginx has no time-out there while the request goes on.
	hangs bool
}

var balancers = []balancer{
	{"nginx", "nginx.conf", func(config, dir string) []string {
		return []string{"nginx", "-c", config, "-g", "daemon off; error_log stderr notice; pid " + filepath.Join(dir, "nginx.pid") + ";"}
	}, false},
	{"haproxy", "haproxy.cfg", func(config, _ string) []string { return []string{"haproxy", "-db", "-f", config} }, true},
	{"envoy", "envoy.yaml", func(config, _ string) []string {
		return []string{"envoy", "--disable-hot-restart", "--log-level", "warning", "-c", config}
	}, true},
}

// direct is the way without a balancer: gRPC's own, by the contract's service config.
const direct = "grpc-go, by the service config"

// Behind each balancer all protocols work, idle streams live, and no event with a
// receipt is lost or doubled when a replica is killed and another drained.
func TestBalancers(t *testing.T) {
	chosen := chosenBalancers(t)
	dir := t.ArtifactDir()
	nats, server := build(t)
	n := newNetwork(t)
	c := &cluster{t: t}
	c.nats = startNATS(t, n, nats, dir)
	c.replicas = startReplicas(t, n, c.nats, server, dir, "--shutdown-delay", "3s")
	for _, r := range c.replicas {
		c.await(r.name+" is ready", func(ctx context.Context) error { return ready(ctx, c.nats.http, r) })
	}
	certificates := t.TempDir()
	if output, err := exec.CommandContext(t.Context(), server, "dev-cert", certificates).CombinedOutput(); err != nil {
		t.Fatalf("dev-cert: %v: %s", err, output)
	}
	e := &edge{c: c, network: n, dir: dir, certificates: certificates}
	var rows []edgeRow
	t.Run("none", func(t *testing.T) { rows = append(rows, e.strike(t, direct, e.direct(t))) })
	t.Run("command", func(t *testing.T) { e.checkCommand(t, server) })
	for _, b := range chosen {
		t.Run(b.name, func(t *testing.T) {
			way := e.start(t, b, "", nil)
			e.checkProtocols(t, b.name, way)
			impatient := e.start(t, b, "-impatient", strings.NewReplacer(patienceOfFiles, impatience))
			e.checkIdleStreams(t, b.name, impatient)
			if b.hangs {
				e.checkHangs(t, b.name, impatient)
			}
			rows = append(rows, e.strike(t, b.name, way))
		})
	}
	var table strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&table, "%s\n", r)
	}
	t.Logf("a replica killed, then another stopped, under load; seconds are the longest without service:\n\n%s%s", edgeHeading, &table)
}

// chosenBalancers returns the balancers of the run, which have to be there.
func chosenBalancers(t *testing.T) (chosen []balancer) {
	t.Helper()
	names := os.Getenv(balancerNames)
	switch names {
	case "":
		t.Skip("make test-balancers runs it: it needs nginx, HAProxy and Envoy")
	case "all":
		chosen = balancers
	default:
		for name := range strings.SplitSeq(names, ",") {
			i := slices.IndexFunc(balancers, func(b balancer) bool { return b.name == name })
			if i < 0 {
				t.Fatalf("%s: there is no balancer %q", balancerNames, name)
			}
			chosen = append(chosen, balancers[i])
		}
	}
	for _, b := range chosen {
		if _, err := exec.LookPath(b.command("", "")[0]); err != nil {
			t.Fatalf("%s isn't there: .ci/balancers installs it", b.name)
		}
	}
	return chosen
}

// edge is what the balancers of a run have in common.
type edge struct {
	c            *cluster
	network      network
	dir          string
	certificates string
}

// start starts a balancer with its file, in which the addresses and the certificate
// are replaced, and what the replacer says. It returns when calls pass through it.
func (e *edge) start(t *testing.T, b balancer, suffix string, replacer *strings.Replacer) *way {
	t.Helper()
	name := b.name + suffix
	h := e.network.host(name, true)
	content, err := os.ReadFile(filepath.Join(balancerFiles, b.file))
	if err != nil {
		t.Fatal(err)
	}
	text := e.configuration(t, string(content), h.front(balancerPort))
	if replacer != nil {
		text = replacer.Replace(text)
	}
	config := filepath.Join(e.dir, name+"-"+b.file)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, name: name, host: h, logs: e.dir, command: b.command(config, t.TempDir())}
	p.start()
	t.Cleanup(func() { p.end(syscall.SIGTERM) }) // Its workers too.
	w := e.way(t, h.front(balancerPort))
	e.c.await("calls pass through "+name, func(ctx context.Context) error {
		select {
		case <-p.ended:
			t.Fatalf("%s doesn't start: its log is in %s", name, e.dir)
		default:
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := tidingsv1.NewServerServiceClient(w.conn).GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
		return err
	})
	return w
}

// configuration returns the text of a file with the addresses of this run.
func (e *edge) configuration(t *testing.T, text, listen string) string {
	t.Helper()
	key := filepath.Join(e.certificates, "server-key.pem")
	chain := filepath.Join(e.certificates, "server.pem")
	both := filepath.Join(e.certificates, "both.pem")
	var joined []byte
	for _, name := range []string{chain, key} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		joined = append(joined, data...)
	}
	if err := os.WriteFile(both, joined, 0o600); err != nil {
		t.Fatal(err)
	}
	replaced := []string{"/etc/tidings/tls.crt", chain, "/etc/tidings/tls.key", key, "/etc/tidings/tls.pem", both}
	address := func(shown, port, here string) {
		host, number, err := net.SplitHostPort(here)
		if err != nil {
			t.Fatal(err)
		}
		replaced = append(replaced, shown+":"+port, here,
			"address: "+shown+", port_value: "+port, "address: "+host+", port_value: "+number)
	}
	address("10.0.0.10", balancerPort, listen)
	for i, r := range e.c.replicas {
		address(fmt.Sprint("10.0.0.", i+1), httpPort, r.http)
	}
	text = strings.NewReplacer(replaced...).Replace(text)
	for _, rest := range []string{"10.0.0.", "/etc/"} {
		// In what isn't a comment.
		for line := range strings.Lines(text) {
			if strings.Contains(line, rest) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				t.Fatalf("the file has an address or a path that the test doesn't know: %s", line)
			}
		}
	}
	return text
}

// createTopic creates a topic and a subscription of the same name.
func (e *edge) createTopic(t *testing.T, name string) {
	t.Helper()
	conn := e.c.replicas[0].conn
	_, err := tidingsv1.NewTopicServiceClient(conn).CreateTopic(t.Context(),
		&tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tidingsv1.NewSubscriptionServiceClient(conn).CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: name, Topic: name, AckDeadline: durationpb.New(ackDeadline)},
		Start:        earliest,
	})
	if err != nil {
		t.Fatal(err)
	}
}
