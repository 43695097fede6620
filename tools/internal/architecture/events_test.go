package architecture

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// eventPackage is the generated package of some events, in its module.
const (
	eventModule  = "examples/events"
	eventPackage = "gen/shop/orders/v1"
)

// maxEventProgram bounds a program that does nothing but encode an event, without
// its symbols.
const maxEventProgram = 5_000_000

// TestEventsNeedNoServices: whoever imports an event takes along protobuf and the
// rules, and nothing that makes calls.
func TestEventsNeedNoServices(t *testing.T) {
	root, module := eventsOf(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+eventPackage)
	cmd.Dir = filepath.Join(root, eventModule)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 10 || packages[len(packages)-1] != module+"/"+eventPackage {
		t.Fatalf("the packages are %q", packages)
	}
	for _, name := range packages {
		if strings.HasPrefix(name, "google.golang.org/grpc") || strings.HasPrefix(name, "connectrpc.com/") || name == "net/http" {
			t.Errorf("an event needs %s", name)
		}
	}
}

func TestProgramWithAnEventIsSmall(t *testing.T) {
	root, module := eventsOf(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", `package main

import (
	"os"

	"google.golang.org/protobuf/proto"

	ordersv1 "`+module+"/"+eventPackage+`"
)

func main() {
	encoded, err := proto.Marshal(&ordersv1.OrderPaid{OrderId: "o1"})
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.Write(encoded)
}
`)
	// The module of the events, as if the program were one of its own.
	overlay := filepath.Join(root, eventModule, "cmd", "program", "main.go")
	write("overlay.json", `{"Replace": {"`+overlay+`": "`+filepath.Join(dir, "main.go")+`"}}`)
	program := filepath.Join(dir, "program")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"),
		"-ldflags=-s -w", "-o", program, "./cmd/program")
	cmd.Dir = filepath.Join(root, eventModule)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	stat, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if stat.Size() > maxEventProgram {
		t.Errorf("a program that encodes an event has %d bytes, want at most %d", stat.Size(), maxEventProgram)
	}
	t.Logf("%d bytes", stat.Size())
}

// eventsOf returns the checkout, and the path of the module of the events.
func eventsOf(t *testing.T) (root, module string) {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	if module, err = workspace.ModulePath(filepath.Join(root, eventModule)); err != nil {
		t.Fatal(err)
	}
	return root, module
}
