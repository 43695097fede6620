// Package report writes what became of a run, for people and for programs.
package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/tidings/conformance/internal/coverage"
	"example.com/tidings/conformance/internal/run"
)

// Progress writes what is not as expected when it happens, and how far the run is
// after every hundredth result.
func Progress(out io.Writer) func(run.Result) {
	count, bad := 0, 0
	return func(result run.Result) {
		if result.Outcome == run.NotRun {
			return
		}
		count++
		if result.Bad() {
			bad++
			fmt.Fprintf(out, "%s  %s  over %s\n    %s\n", mark(result.Outcome), result.Case, result.Transport,
				strings.ReplaceAll(result.Reason, "\n", "\n    "))
		}
		if count%100 == 0 {
			fmt.Fprintf(out, "…  %d done, %d failed\n", count, bad)
		}
	}
}

func mark(outcome run.Outcome) string {
	if outcome == run.UnexpectedPass {
		return "UNEXPECTED PASS"
	}
	return "FAILED"
}

// Summary writes the counts of a run, by RPC and by transport.
func Summary(out io.Writer, results []run.Result, cases coverage.Coverage, missing []string) {
	transports, byTransport := grouped(results, func(r run.Result) string { return r.Transport })
	rpcs, byRPC := grouped(results, func(r run.Result) string { return r.Case[:strings.LastIndexByte(r.Case, '/')] })
	fmt.Fprintf(out, "\n%-54s  %5s  %s\n", "RPC", "cases", header)
	for _, rpc := range rpcs {
		fmt.Fprintf(out, "%-54s  %5d  %s\n", rpc, cases.RPCs[rpc], byRPC[rpc])
	}
	fmt.Fprintf(out, "\n%-61s  %s\n", "transport", header)
	for _, transport := range transports {
		fmt.Fprintf(out, "%-61s  %s\n", transport, byTransport[transport])
	}
	for _, line := range missing {
		fmt.Fprintf(out, "MISSING  %s\n", line)
	}
	total := tally{}
	for _, result := range results {
		total[result.Outcome]++
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d known failures, %d unexpected passes, %d not run\n",
		total[run.Passed], total[run.Failed], total[run.KnownFailure], total[run.UnexpectedPass], total[run.NotRun])
}

// tally counts outcomes.
type tally map[run.Outcome]int

const header = "passed  failed  known  unexpected  not run"

func (t tally) String() string {
	return fmt.Sprintf("%6d  %6d  %5d  %10d  %7d", t[run.Passed], t[run.Failed], t[run.KnownFailure], t[run.UnexpectedPass], t[run.NotRun])
}

func grouped(results []run.Result, key func(run.Result) string) (keys []string, counts map[string]tally) {
	counts = map[string]tally{}
	for _, result := range results {
		k := key(result)
		if counts[k] == nil {
			counts[k] = tally{}
			keys = append(keys, k)
		}
		counts[k][result.Outcome]++
	}
	slices.Sort(keys)
	return keys, counts
}

// sorted returns the results by case and transport.
func sorted(results []run.Result) []run.Result {
	return slices.SortedFunc(slices.Values(results), func(a, b run.Result) int {
		if order := strings.Compare(a.Case, b.Case); order != 0 {
			return order
		}
		return strings.Compare(a.Transport, b.Transport)
	})
}

// result is a result in JSON.
type result struct {
	Case      string      `json:"case"`
	Transport string      `json:"transport"`
	Outcome   run.Outcome `json:"outcome"`
	// Reason says why it failed, wasn't run, or is known to fail.
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
}

// JSON writes the results as an object with one field, `results`.
func JSON(out io.Writer, results []run.Result) error {
	list := []result{}
	for _, r := range sorted(results) {
		list = append(list, result{r.Case, r.Transport, r.Outcome, r.Reason, r.Duration.Seconds()})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"results": list})
}

// The form that test reports have in most CI systems.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Seconds  string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Seconds string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

// JUnit writes the results as XML: a test suite for each transport. A known
// failure is a skipped test there, with its reason.
func JUnit(out io.Writer, results []run.Result) error {
	byTransport := map[string]*junitSuite{}
	var document junitSuites
	var order []string
	times := map[string]time.Duration{}
	for _, r := range sorted(results) {
		suite := byTransport[r.Transport]
		if suite == nil {
			suite = &junitSuite{Name: r.Transport}
			byTransport[r.Transport] = suite
			order = append(order, r.Transport)
		}
		slash := strings.LastIndexByte(r.Case, '/')
		test := junitCase{Class: r.Case[:slash], Name: r.Case[slash+1:], Seconds: seconds(r.Duration)}
		switch {
		case r.Bad():
			suite.Failures++
			test.Failure = &junitMessage{r.Reason}
		case r.Outcome != run.Passed:
			suite.Skipped++
			test.Skipped = &junitMessage{string(r.Outcome) + ": " + r.Reason}
		}
		suite.Tests++
		times[r.Transport] += r.Duration
		suite.Seconds = seconds(times[r.Transport])
		suite.Cases = append(suite.Cases, test)
	}
	slices.Sort(order)
	for _, transport := range order {
		document.Suites = append(document.Suites, *byTransport[transport])
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	return encoder.Encode(document)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
