package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standInWorker writes a Go module that builds to a command in the worker's
// place. It writes a line and runs until it is stopped; then it does what body
// says.
func standInWorker(t *testing.T, body string) string {
	t.Helper()
	module := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/standin\n\ngo 1.26.0\n",
		"cmd/worker/main.go": `package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	addr := flag.String("addr", "", "")
	subscription := flag.String("subscription", "", "")
	name := flag.String("name", "", "")
	pause := flag.Duration("pause", 0, "")
	flag.Parse()
	if *addr != "127.0.0.1:2" || *subscription != "notifications" || *pause == 0 {
		panic("unexpected flags")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	fmt.Printf("{\"worker\":%q}\n", *name)
	<-stop
	` + body + `
}
`,
	} {
		path := filepath.Join(module, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return module
}

func TestTeamLosesOneWorkerAndEnds(t *testing.T) {
	workers, err := startTeam(t.Context(), standInWorker(t, `fmt.Printf("{\"worker\":\"%s, stopped\"}\n", *name)`), "127.0.0.1:2", []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	read := readLines(workers.lines, 3)
	killed := <-read.nth // The third to write: the others wait for signals too.
	if err := workers.kill(killed); err != nil {
		t.Error(err)
	}
	if err := workers.kill(killed); err == nil {
		t.Error("killed twice")
	}
	if err := workers.end(); err != nil {
		t.Error(err)
	}
	all, err := read.all() // There is an end, so nobody has the pipe any more.
	if err != nil {
		t.Error(err)
	}
	wrote := make(map[string]bool)
	for _, l := range all {
		wrote[l.Worker] = true
	}
	for _, name := range []string{"a", "b", "c"} {
		if !wrote[name] || wrote[name+", stopped"] != (name != killed) {
			t.Errorf("%s was killed, and the lines are %v", killed, all)
		}
	}
	if err := workers.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(workers.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", workers.dir, err)
	}
}

func TestWorkersThatEndBadlyAreNoticed(t *testing.T) {
	workers, err := startTeam(t.Context(), standInWorker(t, `fmt.Fprintln(os.Stderr, "kept an event"); os.Exit(1)`), "127.0.0.1:2", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	<-readLines(workers.lines, 1).nth
	if err := workers.stop(); err == nil || !strings.Contains(err.Error(), "the a: it ended badly: exit status 1\nkept an event") {
		t.Errorf("got %v", err)
	}
}
