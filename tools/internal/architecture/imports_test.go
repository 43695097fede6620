package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// arrows says which packages of the server a package of the server may import.
// Each entry stands for the packages below it too, unless they have their own, and
// those may import one another. A new package gets its place in here.
var arrows = map[string][]string{
	"cmd/tidings":         {"internal/admin", "internal/cli", "internal/daemon"},
	"internal/daemon":     {"internal/auth", "internal/compat", "internal/engine", "internal/engine/jetstream", "internal/engine/local", "internal/filter", "internal/governance", "internal/guard", "internal/otlp", "internal/quota", "internal/rpc", "internal/schema", "internal/secure", "internal/service", "internal/telemetry", "internal/tracing"},
	"internal/rpc":        {"internal/auth", "internal/eventjson", "internal/eventwire", "internal/guard", "internal/jsonwire", "internal/quota", "internal/schema", "internal/service", "internal/telemetry", "internal/tracing"},
	"internal/service":    {"internal/auth", "internal/delivery", "internal/engine", "internal/eventlog", "internal/eventwire", "internal/filter", "internal/gen", "internal/governance", "internal/guard", "internal/lease", "internal/quota", "internal/schema", "internal/telemetry", "internal/tracing"},
	"internal/governance": {"internal/compat", "internal/engine", "internal/gen", "internal/guard", "internal/schema"},
	"internal/compat":     {"internal/schema"},
	"internal/delivery":   {"internal/engine", "internal/eventlog", "internal/eventwire", "internal/filter", "internal/gen", "internal/gen/tidings/replica", "internal/guard", "internal/lease", "internal/schema", "internal/telemetry"},
	"internal/eventlog":   {"internal/eventwire", "internal/gen"},
	"internal/filter":     {"internal/eventwire", "internal/gen", "internal/schema"},
	"internal/engine":     {"internal/gen"},
	// The engines know nothing of each other, and daemon alone knows which it is.
	"internal/engine/jetstream":  {"internal/engine", "internal/eventlog", "internal/gen", "internal/guard"},
	"internal/engine/local":      {"internal/engine", "internal/eventlog", "internal/eventwire", "internal/gen", "internal/guard"},
	"internal/engine/enginetest": {"internal/engine", "internal/eventlog", "internal/gen", "internal/guard"},
	// Who makes a call, and what they may do.
	"internal/auth": {"internal/guard", "internal/quota", "internal/secure"},
	// What they may use.
	"internal/quota": {},
	// Certificates and addresses, for servers and clients.
	"internal/secure": {},
	// Commands on the files of a server.
	"internal/admin": {"internal/auth", "internal/cli/command"},
	// For tests alone, and so imported by no package.
	"internal/engine/jetstream/natstest": {},
	"internal/lease":                     {"internal/gen"},
	// Generated from server/proto: what is stored, and what replicas say to each
	// other, which is delivery's alone.
	"internal/gen":                 {},
	"internal/gen/tidings/replica": {},
	"internal/reserved":            {},
	"internal/schema":              {"internal/guard", "internal/imagejson", "internal/precheck", "internal/reserved"},
	// It decides about encoded messages, whoever asks.
	"internal/precheck":  {},
	"internal/imagejson": {},
	"internal/telemetry": {"internal/guard"},
	"internal/guard":     {},
	"internal/eventwire": {},
	"internal/eventjson": {"internal/eventwire", "internal/guard"},
	"internal/jsonwire":  {},
	"internal/tracing":   {},
	"internal/otlp":      {},
	// For tests alone.
	"internal/otlp/otlptest": {"internal/guard"},
	// Tests of the whole server alone.
	"internal/clustertest": {},
	"internal/alerttest":   {},
	"internal/fuzz":        {},
	// A client is written against the contract alone, like anybody else's; how
	// schemas are read from a file and events are written as JSON is no matter of
	// the server.
	"internal/cli": {"internal/cli/command", "internal/cli/consume", "internal/cli/deadletter", "internal/cli/publish", "internal/cli/read", "internal/cli/schema", "internal/cli/subscription", "internal/cli/topic", "internal/scaffold"},
	// Each noun of the command line, which knows none of the others.
	"internal/cli/consume":      {"internal/cli/command", "internal/guard"},
	"internal/cli/deadletter":   {"internal/cli/command"},
	"internal/cli/publish":      {"internal/cli/command", "internal/eventjson", "internal/guard"},
	"internal/cli/read":         {"internal/cli/command"},
	"internal/cli/schema":       {"internal/cli/command", "internal/guard", "internal/imagejson", "internal/reserved"},
	"internal/cli/subscription": {"internal/cli/command"},
	"internal/cli/topic":        {"internal/cli/command"},
	"internal/cli/command":      {"internal/eventjson", "internal/secure"},
	// For tests alone.
	"internal/cli/clitest": {"internal/cli/command"},
	// What is written is files; it knows nothing of a server.
	"internal/scaffold": {},
}

// noTransport are the packages that know nothing of how a request came in, so
// that one implementation serves every transport.
var noTransport = []string{"internal/service", "internal/governance", "internal/engine", "internal/engine/jetstream", "internal/engine/local", "internal/filter", "internal/schema"}

// transports are import paths that belong to a transport, with all below them.
var transports = []string{"google.golang.org/grpc", "connectrpc.com", "net/http"}

// A goPackage is what the go command tells of a package.
type goPackage struct {
	ImportPath string   `json:"ImportPath"`
	Imports    []string `json:"Imports"`
}

func TestImportArrows(t *testing.T) {
	server, packages := serverPackages(t)
	for _, pkg := range packages {
		from := strings.TrimPrefix(pkg.ImportPath, server+"/")
		layer := layerOf(from)
		if layer == "" {
			t.Errorf("%s has no place among the arrows: give it one in this test", from)
			continue
		}
		for _, imported := range pkg.Imports {
			to, ok := strings.CutPrefix(imported, server+"/")
			if !ok || layerOf(to) == layer || slices.Contains(arrows[layer], layerOf(to)) {
				continue
			}
			t.Errorf("%s imports %s; %s may import %q only", from, to, layer, arrows[layer])
		}
	}
}

func TestServiceKnowsNoTransport(t *testing.T) {
	server, packages := serverPackages(t)
	checked := map[string]bool{}
	for _, pkg := range packages {
		from := strings.TrimPrefix(pkg.ImportPath, server+"/")
		if !slices.Contains(noTransport, layerOf(from)) {
			continue
		}
		checked[layerOf(from)] = true
		for _, imported := range pkg.Imports {
			// Generated code for Connect is in packages of its own, with this ending.
			if slices.ContainsFunc(transports, func(path string) bool { return within(imported, path) }) ||
				strings.HasSuffix(imported, "connect") {
				t.Errorf("%s imports %s", from, imported)
			}
		}
	}
	for _, layer := range noTransport {
		if !checked[layer] {
			t.Errorf("there is no package %s, so nothing was checked for it", layer)
		}
	}
}

// layerOf returns the entry of arrows that a package belongs to, the nearest of
// several, or nothing.
func layerOf(path string) (layer string) {
	for entry := range arrows {
		if within(path, entry) && len(entry) > len(layer) {
			layer = entry
		}
	}
	return layer
}

// within reports whether an import path is another or lies below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// serverPackages returns the path of the server's module and its packages with
// what they import, tests left out.
func serverPackages(t *testing.T) (module string, packages []goPackage) {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "server")
	if module, err = workspace.ModulePath(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg goPackage
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return module, packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, pkg)
	}
}
