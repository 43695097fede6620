package fuzz

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/daemon"
)

const (
	callers = 24
	rounds  = 2 // At least.
	round   = 15 * time.Second
	settled = 30 * time.Second // How long what a round used may take to be given back.
)

// Random calls of every RPC over every transport leave the server as it should
// be: each error is one of the catalogue and no fault of the server, a client that
// keeps to the contract isn't disturbed, everything that is stored can be read,
// and nothing grows from round to round.
func TestCalls(t *testing.T) {
	duration, seed := settings(t)
	duration /= 2
	g := newGenerator(seed, 0)
	schemas, known := filepath.Join(t.TempDir(), "schemas.binpb"), newKnown()
	types := g.callSchemas(t, schemas, known)
	buf := buftest.Need(t)
	s, err := start(context.Background(), t.TempDir(), func(c *daemon.Config) { c.Schemas, c.Buf = schemas, buf })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop() })
	client := &goodClient{t: t, server: s, types: types, stored: make(map[string]int64)}
	n := &counts{by: make(map[[2]string]map[string]int)}
	fault := func(kind, problem string) {
		if n.first(kind) {
			t.Error(problem)
		}
	}
	usage := []resources{s.measure(nil)}
	defer func() { t.Logf("%v%v", n, usage) }()
	for i := range max(rounds, int(duration/round)) {
		client.begin()
		ctx, cancel := context.WithTimeout(t.Context(), duration/time.Duration(max(rounds, int(duration/round))))
		var calling sync.WaitGroup
		for j := range callers {
			own := newGenerator(seed, uint64(1+i*callers+j))
			own.types, own.known = types, known
			calling.Go(func() { s.calls(ctx, own, n, fault) })
		}
		calling.Wait()
		cancel()
		client.check()
		client.clear()
		for _, fault := range s.log.take() {
			t.Error("in the server's log: " + fault)
		}
		usage = append(usage, s.measure(usage))
	}
	first, last := usage[0], usage[len(usage)-1]
	if last.goroutines > first.goroutines+20 || last.files > first.files+20 || last.heap > first.heap+first.heap/2+32<<20 {
		t.Errorf("the server grows: %v", usage)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// callSchemas writes schemas that the server is started with, gives the callers
// some more to register, and returns all.
func (g *generator) callSchemas(t *testing.T, path string, known *known) *universe {
	t.Helper()
	examples, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	started := image(g.schema("fuzz.started", "fuzz-a", false))
	all, err := joined(started, examples)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, encode(all), 0o644); err != nil {
		t.Fatal(err)
	}
	types, err := newUniverse(started, examples)
	if err != nil {
		t.Fatal(err)
	}
	registered := g.schema("fuzz.registered", "fuzz-b", false)
	for range 4 {
		known.images = append(known.images, image(registered))
		g.addField(registered, registered.GetMessageType()[0], false)
	}
	known.images = append(known.images, image(g.schema("fuzz.odd", "fuzz-c", true)), started, []byte("x"))
	return types
}

// resources are what the process holds.
type resources struct {
	goroutines, files int
	heap              uint64
}

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %.1f MB", r.goroutines, r.files, float64(r.heap)/1e6)
}

// measure says what the process holds once it has given back what it gives back.
func (s *server) measure(before []resources) (r resources) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(settled); time.Now().Before(end); <-tick.C {
		for _, client := range s.clients {
			client.CloseIdleConnections()
		}
		files, _ := os.ReadDir("/proc/self/fd") // Where there is none, files don't count.
		r.goroutines, r.files = runtime.NumGoroutine(), len(files)
		if len(before) == 0 || r.goroutines <= before[0].goroutines+10 && r.files <= before[0].files+10 {
			break
		}
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&memory)
	r.heap = memory.HeapAlloc
	return r
}
