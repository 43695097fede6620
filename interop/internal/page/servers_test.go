package page

import (
	"reflect"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/reference"
	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

const withoutServers = "Before.\n\n<!-- servers:begin -->\n<!-- servers:end -->\n\nAfter.\n"

// serverResult is that of a server that did all.
func serverResult(language string, passed int, transports ...string) runner.ServerResult {
	result := runner.ServerResult{Server: reference.Server{Language: language}}
	for _, transport := range transports {
		run := runner.ServerRun{Conformance: runner.Conformance{Passed: passed, KnownFailures: 7}}
		run.Transport, run.Outcomes = transport, make(scenario.Outcomes)
		for _, step := range scenario.ServerSteps {
			run.Outcomes[step] = scenario.Outcome{State: scenario.OK}
		}
		result.Runs = append(result.Runs, run)
	}
	return result
}

func TestUpdateServers(t *testing.T) {
	page, lostCells, err := UpdateServers(withoutServers, []runner.ServerResult{
		serverResult("Ruby", 12, "grpc", "connect"), serverResult("Go", 30, "grpc"),
	}, true)
	want := `Before.

<!-- servers:begin -->

| language | transport | topic | publish | refused | conformance |
|---|---|---|---|---|---|
| Go | grpc | ok | ok | ok | 30 passed, 7 known failures |
| Ruby | grpc | ok | ok | ok | 12 passed, 7 known failures |
| Ruby | connect | ok | ok | ok | 12 passed, 7 known failures |

<!-- servers:end -->

After.
`
	if err != nil || page != want || len(lostCells) > 0 {
		t.Fatalf("it is\n%s\nwant\n%s\nlost: %q, %v", page, want, lostCells, err)
	}
	// One language, with other counts; the other stays.
	page, lostCells, err = UpdateServers(page, []runner.ServerResult{serverResult("Ruby", 13, "grpc", "connect")}, false)
	want = strings.ReplaceAll(want, "12 passed", "13 passed")
	if err != nil || page != want || len(lostCells) > 0 {
		t.Errorf("it is\n%s\nwant\n%s\nlost: %q, %v", page, want, lostCells, err)
	}
	// None of them: nothing changes.
	if again, lostCells, err := UpdateServers(page, nil, false); err != nil || again != page || len(lostCells) > 0 {
		t.Errorf("it is\n%s\nlost: %q, %v", again, lostCells, err)
	}
}

func TestUpdateServersTellsWhatIsLost(t *testing.T) {
	before, _, err := UpdateServers(withoutServers, []runner.ServerResult{serverResult("Ruby", 12, "grpc")}, true)
	if err != nil {
		t.Fatal(err)
	}
	failed := serverResult("Ruby", 0, "grpc")
	failed.Runs[0].Outcomes["publish"] = scenario.Outcome{State: scenario.Failed}
	for name, test := range map[string]struct {
		results []runner.ServerResult
		all     bool
		want    []string
	}{
		"a step":                          {[]runner.ServerResult{failed}, false, []string{`the server in Ruby over grpc: publish was ok, and is "fail" now`}},
		"a language that isn't looked at": {nil, false, nil},
		"a language that is gone": {nil, true, []string{
			"the server in Ruby over grpc: topic was ok, and was not run now",
			"the server in Ruby over grpc: publish was ok, and was not run now",
			"the server in Ruby over grpc: refused was ok, and was not run now",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, lostCells, err := UpdateServers(before, test.results, test.all); err != nil || !reflect.DeepEqual(lostCells, test.want) {
				t.Errorf("lost %q, want %q, %v", lostCells, test.want, err)
			}
		})
	}
}

func TestUpdateServersRefuses(t *testing.T) {
	for name, page := range map[string]string{
		"no marks":      "Before.\n",
		"another table": strings.Replace(withoutServers, "<!-- servers:end -->", "| step | what |\n<!-- servers:end -->", 1),
	} {
		if _, _, err := UpdateServers(page, nil, false); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
