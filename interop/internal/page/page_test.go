package page

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/runner"
	"example.com/tidings/interop/internal/scenario"
)

const empty = "# Languages\n\nBefore.\n\n<!-- matrix:begin -->\n<!-- matrix:end -->\n\nBetween.\n\n<!-- clients:begin -->\n<!-- clients:end -->\n\nAfter.\n"

// result is that of a client that did all, but for steps given as TRANSPORT STEP.
func result(t *testing.T, language string, transports []string, notDone ...string) runner.Result {
	t.Helper()
	c := client.Client{
		Language: language, Name: strings.ToLower(language), Runtime: language + " 1", Package: "made of `it`", Install: "get it",
		Transports: transports, Example: "client.rb", Dir: t.TempDir(), NotApplicable: make(map[string]string),
	}
	if err := os.WriteFile(filepath.Join(c.Dir, c.Example), []byte("# docs:begin\n  publish\n# docs:end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runner.Result{Client: c}
	for _, transport := range transports {
		run := runner.Run{Transport: transport, Outcomes: make(scenario.Outcomes)}
		for _, step := range scenario.Steps {
			run.Outcomes[step] = scenario.Outcome{State: scenario.OK}
			for _, not := range notDone {
				if not == transport+" "+step {
					run.Outcomes[step] = scenario.Outcome{State: scenario.NotApplicable, Reason: "can't"}
					c.NotApplicable[step] = "it can't"
				}
			}
		}
		r.Runs = append(r.Runs, run)
	}
	return r
}

func update(t *testing.T, page string, all bool, results ...runner.Result) (updated string, lostCells []string) {
	t.Helper()
	updated, lostCells, err := Update(page, results, all)
	if err != nil {
		t.Fatal(err)
	}
	return updated, lostCells
}

func TestUpdateWritesAll(t *testing.T) {
	page, lostCells := update(t, empty, true, result(t, "Ruby", []string{"grpc", "connect"}, "connect tail"), result(t, "Go", []string{"grpc"}))
	if len(lostCells) > 0 {
		t.Errorf("lost %q", lostCells)
	}
	want := `# Languages

Before.

<!-- matrix:begin -->

| language | transport | topic | publish | refused | read | tail | consume | deadline | cancel | golden | golden-json |
|---|---|---|---|---|---|---|---|---|---|---|---|
| Go | grpc | ok | ok | ok | ok | ok | ok | ok | ok | ok | ok |
| Ruby | grpc | ok | ok | ok | ok | ok | ok | ok | ok | ok | ok |
| Ruby | connect | ok | ok | ok | ok | n/a | ok | ok | ok | ok | ok |

<!-- matrix:end -->

Between.

<!-- clients:begin -->

### Go

| | |
|---|---|
| package | made of ` + "`it`" + ` |
| install | ` + "`get it`" + ` |
| lowest runtime | Go 1 |
| transports | grpc |
| client | [interop/go](../interop/go) |

` + "```rb\npublish\n```" + `

### Ruby

| | |
|---|---|
| package | made of ` + "`it`" + ` |
| install | ` + "`get it`" + ` |
| lowest runtime | Ruby 1 |
| transports | grpc, connect |
| client | [interop/ruby](../interop/ruby) |
| no tail | it can't |

` + "```rb\npublish\n```" + `

<!-- clients:end -->

After.
`
	if page != want {
		t.Errorf("it is\n%s\nwant\n%s", page, want)
	}
	if again, lostCells := update(t, page, true, result(t, "Ruby", []string{"grpc", "connect"}, "connect tail"), result(t, "Go", []string{"grpc"})); again != page || len(lostCells) > 0 {
		t.Errorf("the same results change it (lost: %q):\n%s", lostCells, again)
	}
}

// TestUpdateKeepsOthers runs one language and wants the others to stay.
func TestUpdateKeepsOthers(t *testing.T) {
	before, _ := update(t, empty, true, result(t, "Go", []string{"grpc"}), result(t, "Ruby", []string{"grpc"}, "grpc tail"))
	page, lostCells := update(t, before, false, result(t, "Ruby", []string{"grpc", "connect"}))
	want, _ := update(t, empty, true, result(t, "Go", []string{"grpc"}), result(t, "Ruby", []string{"grpc", "connect"}))
	if page != want || len(lostCells) > 0 {
		t.Errorf("it is\n%s\nwant\n%s\nlost: %q", page, want, lostCells)
	}
}

func TestUpdateTellsWhatIsLost(t *testing.T) {
	before, _ := update(t, empty, true, result(t, "Go", []string{"grpc", "connect"}, "connect golden"), result(t, "Ruby", []string{"grpc"}))
	failed := result(t, "Go", []string{"grpc", "connect"}, "connect golden")
	failed.Runs[0].Outcomes["read"] = scenario.Outcome{State: scenario.Failed, Reason: "4 events"}
	broken := result(t, "Ruby", []string{"grpc"})
	broken.Runs = nil // It couldn't be built.
	for name, test := range map[string]struct {
		results []runner.Result
		all     bool
		count   int
		want    string
	}{
		"a step":                          {[]runner.Result{failed}, false, 1, `Go over grpc: read was ok, and is "fail" now`},
		"a step that is given up":         {[]runner.Result{result(t, "Go", []string{"grpc", "connect"}, "connect golden", "connect tail")}, false, 1, `Go over connect: tail was ok, and is "n/a" now`},
		"what wasn't ok":                  {[]runner.Result{result(t, "Go", []string{"grpc", "connect"}, "connect golden")}, false, 0, ""},
		"a transport":                     {[]runner.Result{result(t, "Go", []string{"grpc"})}, false, 9, "Go over connect: topic was ok, and was not run now"},
		"a client that isn't built":       {[]runner.Result{broken}, false, 10, "Ruby over grpc: topic was ok, and was not run now"},
		"a language that is gone":         {[]runner.Result{result(t, "Go", []string{"grpc", "connect"}, "connect golden")}, true, 10, "Ruby over grpc: topic was ok"},
		"a language that isn't looked at": {[]runner.Result{result(t, "Perl", []string{"grpc"})}, false, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, lostCells := update(t, before, test.all, test.results...)
			if len(lostCells) != test.count || test.count > 0 && !strings.HasPrefix(lostCells[0], test.want) {
				t.Errorf("lost %q, want %d that begin with %q", lostCells, test.count, test.want)
			}
		})
	}
}

func TestUpdateRefuses(t *testing.T) {
	for name, page := range map[string]string{
		"no marks":            "# Languages\n",
		"no end":              strings.Replace(empty, "<!-- clients:end -->", "", 1),
		"another table":       strings.Replace(empty, "<!-- matrix:end -->", "| step | what |\n<!-- matrix:end -->", 1),
		"a row that is short": strings.Replace(empty, "<!-- matrix:end -->", "| language | transport | topic |\n|---|---|---|\n| Go | grpc |\n<!-- matrix:end -->", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Update(page, []runner.Result{result(t, "Go", []string{"grpc"})}, true); err == nil {
				t.Error("it was taken")
			}
		})
	}
	unmarked := result(t, "Go", []string{"grpc"})
	unmarked.Client.Example = "gone.go"
	if _, _, err := Update(empty, []runner.Result{unmarked}, true); err == nil {
		t.Error("a client without an example was taken")
	}
}

// TestStepThatIsNew reads a matrix that lacks a step, and one with a step more.
func TestStepThatIsNew(t *testing.T) {
	rows, err := parseMatrix("| language | transport | read | wave |\n|---|---|---|---|\n| Go | grpc | ok | ok |\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{language: "Go", transport: "grpc", cells: map[string]string{"read": "ok", "wave": "ok"}}}
	if !reflect.DeepEqual(rows, want) {
		t.Fatalf("%+v, want %+v", rows, want)
	}
	now := rowsOf(result(t, "Go", []string{"grpc"}))
	if got := lost(rows, now); !reflect.DeepEqual(got, []string{`Go over grpc: wave was ok, and is "" now`}) {
		t.Errorf("lost %q", got)
	}
}
