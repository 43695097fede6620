package main

import (
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tidings/conformance/cases"
	"example.com/tidings/conformance/internal/coverage"
	"example.com/tidings/conformance/internal/known"
	"example.com/tidings/conformance/internal/run"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// leastCases is how many cases there have to be.
const leastCases = 150

// knownFailing is the file of the failures of this checkout's server.
const knownFailing = "../../known-failing.txt"

// loaded are the cases of the suite.
var loaded = sync.OnceValues(func() ([]suite.Case, error) { return suite.Load(cases.Files()) })

func loadCases(t *testing.T) []suite.Case {
	t.Helper()
	loaded, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func only(all []suite.Case, pattern string) []suite.Case {
	p := known.NewPattern(pattern)
	return slices.DeleteFunc(slices.Clone(all), func(c suite.Case) bool { return !p.Match(c.Name) })
}

// transports are all ways to call a server or, with -short, one of each kind.
func transports() []wire.Transport {
	all := wire.Transports()
	if testing.Short() {
		all = slices.DeleteFunc(all, func(t wire.Transport) bool {
			return !slices.Contains([]string{"native-binary-http2", "connect-binary-http1", "connect-json-http2", "grpcweb-binary-http2"}, t.String())
		})
	}
	return all
}

// TestServerConforms runs every case over every transport against this
// checkout's server.
func TestServerConforms(t *testing.T) {
	all := loadCases(t)
	if len(all) < leastCases {
		t.Errorf("there are %d cases, want %d at least", len(all), leastCases)
	}
	failures, err := known.Read(knownFailing)
	if err != nil {
		t.Fatal(err)
	}
	if err := failures.Check(all); err != nil {
		t.Error(err)
	}
	var results []run.Result
	if !testing.Short() { // Buf compiles for minutes.
		with := startServer(t, "--buf", pinnedBuf(t))
		results = conform(t, with, all, run.Config{Known: failures, Stop: with.interrupt})
		<-with.Done()
	}
	// What needs a server that takes no schemas needs another one.
	without, selected := startServer(t), only(all, "tidings.v1beta1.*")
	if testing.Short() {
		selected = all
	}
	results = append(results, conform(t, without, selected, run.Config{Known: failures, Stop: without.interrupt})...)
	// What needs a storage that can do less, one on NATS.
	less := startServer(t, "--nats-url", startNATS(t))
	results = append(results, conform(t, less, only(all, "tidings.v1.PublisherService/*"), run.Config{Known: failures})...)
	ran := map[string]bool{}
	for _, result := range results {
		if result.Bad() {
			t.Errorf("%s over %s: %s: %s", result.Case, result.Transport, result.Outcome, result.Reason)
		}
		if result.Outcome != run.NotRun {
			ran[result.Case] = true
			ran[result.Transport] = true
		}
	}
	for _, c := range all {
		if !ran[c.Name] && (!testing.Short() || !takesSchemas(c)) {
			t.Errorf("%s was run over no transport", c.Name)
		}
	}
	for _, transport := range transports() {
		if !ran[transport.String()] {
			t.Errorf("nothing was run over %s", transport)
		}
	}
}

// takesSchemas reports whether a case needs a server that takes schemas while it runs.
func takesSchemas(c suite.Case) bool {
	return slices.ContainsFunc(c.Needs, func(need *conformancev1.Need) bool {
		return need.GetServer() == tidingsv1.Feature_FEATURE_SCHEMA_REGISTRATION
	})
}

// conform runs cases against a server.
func conform(t *testing.T, s *server, selected []suite.Case, cfg run.Config) []run.Result {
	t.Helper()
	cfg.URL, cfg.GRPC, cfg.Cases, cfg.Timeout, cfg.Parallel = s.url(), s.GRPC, selected, 2*time.Minute, 24
	if cfg.Transports == nil {
		cfg.Transports = transports()
	}
	results, err := run.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestEverythingHasACase fails for an RPC, a frame or an error reason of the
// contract that no case is about.
func TestEverythingHasACase(t *testing.T) {
	exempt, err := coverage.Exempt(cases.Files(), cases.Exempt)
	if err != nil {
		t.Fatal(err)
	}
	counts := coverage.Count(loadCases(t))
	for _, missing := range counts.Missing(exempt) {
		t.Error(missing)
	}
	if len(counts.RPCs) < 29 || len(counts.Frames) < 15 || len(counts.Reasons) < 35 {
		t.Errorf("the contract has more than this: %+v", counts)
	}
}

// TestExemptReasons keeps the list of what no case can provoke from growing
// without a decision, and from holding what a case does provoke.
func TestExemptReasons(t *testing.T) {
	exempt, err := coverage.Exempt(cases.Files(), cases.Exempt)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"STORAGE_FULL", "TOO_MANY", "STORAGE_UNAVAILABLE", "STORAGE_DAMAGED", "SUBSCRIPTION_UNAVAILABLE",
		"INTERNAL", "CANCELLED", "UNAUTHENTICATED", "PERMISSION_DENIED", "QUOTA_EXCEEDED",
	}
	if !slices.Equal(exempt, want) {
		t.Errorf("exempt are %q, want %q", exempt, want)
	}
	counts := coverage.Count(loadCases(t))
	for _, reason := range exempt {
		if counts.Reasons[reason] > 0 {
			t.Errorf("%s is exempt, and %d cases expect it", reason, counts.Reasons[reason])
		}
	}
}

// TestMissingIsNoticed takes all cases of an RPC away, and all that expect a
// reason or a frame.
func TestMissingIsNoticed(t *testing.T) {
	exempt, err := coverage.Exempt(cases.Files(), cases.Exempt)
	if err != nil {
		t.Fatal(err)
	}
	all := loadCases(t)
	for pattern, want := range map[string]string{
		"tidings.v1.TopicService/DeleteTopic/*": "no case for the RPC tidings.v1.TopicService/DeleteTopic",
		"*/gap":                                 "no case for the frame tidings.v1.ReaderService/Read gap",
		"*/expired-cursor":                      "no case for the error reason CURSOR_EXPIRED",
	} {
		p := known.NewPattern(pattern)
		left := slices.DeleteFunc(slices.Clone(all), func(c suite.Case) bool { return p.Match(c.Name) })
		if missing := coverage.Count(left).Missing(exempt); !slices.Contains(missing, want) {
			t.Errorf("without %s: missing is %q, want %q", pattern, missing, want)
		}
	}
}
