// Package clustertest runs three NATS servers and three replicas of the server
// as processes, publishes, reads and consumes, does harm to them, and checks
// that nothing was lost, doubled or delivered again. It knows the server as its
// users do, by its command and its contract.
package clustertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// faultNames is the variable with the names of the faults, joined by commas,
	// or "all". Empty: a short run, and none with -short.
	faultNames = "TIDINGS_CLUSTER"
	// serverBinary is the variable with the server's program, to measure another
	// than this checkout's.
	serverBinary = "TIDINGS_CLUSTER_SERVER"
	shortRun     = "kill-owner"
)

// Whatever happens to a part of the cluster, no event with a receipt is lost,
// doubled or out of order, none that was settled is delivered again, and
// service goes on soon.
func TestFaults(t *testing.T) {
	chosen := chosenFaults(t)
	dir := t.ArtifactDir()
	nats, server := build(t)
	n := newNetwork(t)
	c := &cluster{t: t, observed: observed}
	if len(chosen) == 1 {
		c.observed = observedShortly
	}
	c.nats = startNATS(t, n, nats, dir)
	c.replicas = startReplicas(t, n, c.nats, server, dir)
	for _, r := range c.replicas {
		c.await(r.name+" is ready", func(ctx context.Context) error { return ready(ctx, c.nats.http, r) })
	}
	c.load = startLoad(t, c.replicas, 4000*len(chosen))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.watch = startWatch(ctx, c)
	var rows []row
	for _, f := range chosen {
		if f.cuts && !n.cuts() {
			t.Logf("left out: %s", f.what)
			continue
		}
		c.awaitHealth()
		rows = append(rows, c.strike(f))
	}
	c.load.finish()
	c.awaitHealth()
	lost, doubled, moved := c.load.checkTopics(ctx)
	if lost+doubled+moved > 0 {
		t.Errorf("%d events lost, %d doubled, %d out of order or not where their receipts say", lost, doubled, moved)
	}
	for _, r := range rows {
		c.compare(r)
	}
	c.report(rows, lost, doubled, moved)
}

// chosenFaults returns the faults of the run, in their order.
func chosenFaults(t *testing.T) (chosen []fault) {
	t.Helper()
	names := os.Getenv(faultNames)
	switch names {
	case "all":
		return faults
	case "":
		if testing.Short() {
			t.Skip("runs a cluster of six servers under load")
		}
		names = shortRun
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			var known []string
			for _, f := range faults {
				known = append(known, f.name)
			}
			t.Fatalf("%s: there is no fault %q; there are %s", faultNames, name, strings.Join(known, ", "))
		}
		chosen = append(chosen, faults[i])
	}
	return chosen
}

// build builds the programs.
func build(t *testing.T) (nats, server string) {
	t.Helper()
	dir := t.TempDir()
	nats, server = filepath.Join(dir, "nats-server"), os.Getenv(serverBinary)
	programs := map[string]string{nats: "github.com/nats-io/nats-server/v2"}
	if server == "" {
		server = filepath.Join(dir, "tidings")
		programs[server] = "../../cmd/tidings"
	}
	for program, pkg := range programs {
		if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v: %s", pkg, err, output)
		}
	}
	return nats, server
}

// report prints what was found.
func (c *cluster) report(rows []row, lost, doubled, moved int) {
	c.t.Helper()
	var b strings.Builder
	events, repeats := 0, 0
	for _, topic := range c.load.topics {
		events, repeats = events+len(topic.receipts), repeats+topic.repeats
	}
	b.WriteString("the longest times without service, in seconds:\n\n" + heading)
	for _, r := range rows {
		b.WriteString(r.String() + "\n")
	}
	c.t.Logf("%s", &b)
	c.t.Logf("%d events with receipts, %d receipts of repetitions: %d lost, %d doubled, %d out of order", events, repeats, lost, doubled, moved)
	for _, share := range c.load.shares {
		c.t.Logf("%s: %d events settled, %d deliveries again", share.name, len(share.applied), share.again)
	}
	c.load.mu.Lock()
	defer c.load.mu.Unlock()
	for key, count := range c.load.errors {
		c.t.Logf("%6d × %s", count, key)
	}
}
