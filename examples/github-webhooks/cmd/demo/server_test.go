package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standIn writes a Go module that builds to a command in the server's place.
// The body runs in its main, after the flags are read.
func standIn(t *testing.T, body string) string {
	t.Helper()
	module := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(module, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/standin\n\ngo 1.26.0\n")
	write("cmd/tidings/main.go", `package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if os.Args[1] != "serve" {
		panic(os.Args[1])
	}
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	dataDir := flags.String("data-dir", "", "")
	schemas := flags.String("schemas", "", "")
	_ = flags.Parse(os.Args[2:])
	if *dataDir == "" || *schemas != "events.binpb" {
		panic("unexpected flags")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	`+body+`
	_, _ = stop, fmt.Sprint()
}
`)
	return module
}

const becomeReady = `
	if err := os.WriteFile(os.Getenv("TIDINGS_READY_FILE"), []byte("{\"http\":\"127.0.0.1:1\",\"grpc\":\"127.0.0.1:2\"}"), 0o600); err != nil {
		panic(err)
	}
	<-stop
`

func TestServerRunsUntilItIsStopped(t *testing.T) {
	s, err := startServer(t.Context(), standIn(t, becomeReady), "events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	if s.GRPC != "127.0.0.1:2" {
		t.Errorf("it serves at %q", s.GRPC)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", s.dir, err)
	}
}

func TestServerStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := startServer(ctx, standIn(t, becomeReady), "events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.Done()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestServerProblemsAreShown(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"does not build", `undefined()`, "undefined: undefined"},
		{"ends before it is ready", `fmt.Fprintln(os.Stderr, "no room"); os.Exit(3)`, "exit status 3\nno room"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := startServer(t.Context(), standIn(t, test.body), "events.binpb")
			if err == nil {
				t.Fatalf("started: %v", s.stop())
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestServerThatEndsBadlyIsNoticed(t *testing.T) {
	s, err := startServer(t.Context(), standIn(t, becomeReady+`fmt.Println("lost the data"); os.Exit(1)`), "events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "lost the data") {
		t.Errorf("got %v", err)
	}
}
