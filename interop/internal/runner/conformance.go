package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/reference"
)

const suiteLimit = 5 * time.Minute

// suiteTransports are the suite's patterns for its own names of our transports.
var suiteTransports = map[string]string{
	"grpc":         "native-*",
	"connect":      "connect-binary-*",
	"connect-json": "connect-json-*",
	"grpc-web":     "grpcweb-*",
}

// Conformance counts the cases of the conformance suite that count for a server.
type Conformance struct {
	Passed int
	// KnownFailures are those that failed, as its list of them says.
	KnownFailures int
}

func (c Conformance) String() string {
	return fmt.Sprintf("%d passed, %d known failures", c.Passed, c.KnownFailures)
}

// conform runs the conformance suite against a server over one transport, and
// returns what went wrong, with the end of what the suite printed.
func (r Runner) conform(ctx context.Context, s reference.Server, server *testserver.Server, transport string) (counts Conformance, problem string) {
	results := filepath.Join(r.Dir, "conformance-"+s.Name+"-"+transport+".json")
	args := []string{r.Suite, "--transport", suiteTransports[transport], "--json", results}
	if s.KnownFailing != "" {
		args = append(args, "--known-failing", s.KnownFailing)
	}
	if transport == "grpc" {
		args = append(args, "--grpc", server.GRPC)
	} else {
		args = append(args, "--url", "http://"+server.HTTP)
	}
	var log bytes.Buffer
	err := process.Command{
		Line: `exec "$@"`, Args: args, Dir: s.Dir, Limit: r.within(suiteLimit), Stdout: &log, Stderr: &log,
	}.Run(ctx)
	if err != nil {
		return counts, fmt.Sprintf("conformance: %v\n%s", err, end(log.String()))
	}
	if counts, err = countCases(results); err != nil {
		return counts, "conformance: " + err.Error()
	}
	if counts.Passed == 0 {
		return counts, "conformance: no case passed"
	}
	return counts, ""
}

// countCases reads the results that the suite writes as JSON.
func countCases(path string) (counts Conformance, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return counts, err
	}
	var report struct {
		Results []struct {
			Outcome string `json:"outcome"`
		} `json:"results"`
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return counts, err
	}
	for _, result := range report.Results {
		switch result.Outcome {
		case "passed":
			counts.Passed++
		case "known-failure":
			counts.KnownFailures++
		}
	}
	return counts, nil
}
