// Package runner builds clients, runs them against a server, and finds out what
// came of it. Reference servers it builds and starts, has the client in Go call
// them, and runs the conformance suite against them.
package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/scenario"
)

const (
	buildLimit  = 20 * time.Minute
	runLimit    = 2 * time.Minute
	verifyLimit = 10 * time.Second
	// maxOutput bounds what a client may print.
	maxOutput = 1 << 20
	// shownLines is how much of the end of a log is shown.
	shownLines = 60
)

// A Run is what came of one client over one transport.
type Run struct {
	Transport string
	Outcomes  scenario.Outcomes
	// Problems are those of the run as a whole.
	Problems []string
}

// Failed reports whether anything was not as it has to be.
func (r Run) Failed() bool {
	if len(r.Problems) > 0 {
		return true
	}
	for _, outcome := range r.Outcomes {
		if outcome.State == scenario.Failed {
			return true
		}
	}
	return false
}

// A Result is what came of one client.
type Result struct {
	Client client.Client
	Runs   []Run // None where it couldn't be built.
	// Problems are those of the client as a whole.
	Problems []string
}

// Failed reports whether anything was not as it has to be.
func (r Result) Failed() bool {
	return len(r.Problems) > 0 || slices.ContainsFunc(r.Runs, Run.Failed)
}

// A Runner runs clients and reference servers, one after the other.
type Runner struct {
	// Server is what the clients call.
	Server *testserver.Server
	// Secure is what programs with a credential call. nil: there are none.
	Secure *process.Secure
	// Values and Vectors are what they have to publish and to decode.
	Values  scenario.Values
	Vectors []scenario.Vector
	// Caller is the client that calls the reference servers.
	Caller client.Client
	// Suite is the path of the conformance suite, for reference servers.
	Suite string
	// Protos is the directory of the schemas that builds may generate from.
	Protos string
	// Dir is an empty directory for what the runs need.
	Dir string
	// Out gets the progress.
	Out io.Writer

	// limit is how long anything but a build may take. 0: the limits above.
	limit time.Duration
}

// Run builds a client and runs it over each of its transports. Its error is that
// of the runner itself, or of ctx.
func (r Runner) Run(ctx context.Context, c client.Client) (Result, error) {
	result := Result{Client: c}
	fmt.Fprintf(r.Out, "interop: %s: building\n", c.Name)
	if problem := r.build(ctx, c.Build, c.Dir, buildLimit); problem != "" {
		result.Problems = append(result.Problems, problem)
		r.show(c.Name, problem)
		return result, ctx.Err()
	}
	golden := filepath.Join(r.Dir, "golden")
	if err := os.MkdirAll(golden, 0o755); err != nil {
		return result, err
	}
	if err := scenario.WriteVectors(golden, r.Vectors); err != nil {
		return result, err
	}
	for _, transport := range c.Transports {
		start := time.Now()
		run, log, err := r.runOnce(ctx, c, transport, golden)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return result, err
		}
		result.Runs = append(result.Runs, run)
		r.tell(c.Name, run, log, time.Since(start))
	}
	if c.Access.Run != "" && r.Secure != nil {
		if problem := r.access(ctx, c); problem != "" {
			result.Problems = append(result.Problems, problem)
			r.show(c.Name, problem)
		}
	}
	for _, step := range needless(c, result.Runs) {
		problem := fmt.Sprintf("not_applicable in %s names %s, which it did", client.File, step)
		result.Problems = append(result.Problems, problem)
		r.show(c.Name, problem)
	}
	return result, nil
}

// build returns what went wrong, with the end of the log.
func (r Runner) build(ctx context.Context, line, dir string, limit time.Duration) (problem string) {
	if line == "" {
		return ""
	}
	var log bytes.Buffer
	err := process.Command{
		Line: line, Dir: dir, Env: []string{"TIDINGS_PROTOS=" + r.Protos},
		Limit: limit, Stdout: &log, Stderr: &log,
	}.Run(ctx)
	if err != nil {
		return fmt.Sprintf("build: %s: %v\n%s", line, err, end(log.String()))
	}
	return ""
}

// runOnce runs a client over one transport, and verifies what it says. The log is
// what the client printed on standard error.
func (r Runner) runOnce(ctx context.Context, c client.Client, transport, golden string) (run Run, log string, err error) {
	topic := "interop-" + c.Name + "-" + transport
	out := filepath.Join(r.Dir, topic)
	if err := os.Mkdir(out, 0o755); err != nil {
		return run, "", err
	}
	run, log = r.call(ctx, c, r.Server, transport, scenario.Steps,
		"TIDINGS_TOPIC="+topic, "TIDINGS_GOLDEN="+golden, "TIDINGS_OUT="+out)
	return run, log, r.verify(ctx, topic, out, run.Outcomes)
}

// call runs a client, with variables besides those of the server and the
// transport, and returns what it says of the steps.
func (r Runner) call(ctx context.Context, c client.Client, s *testserver.Server, transport string, steps []string, env ...string) (run Run, log string) {
	stdout, stderr := &bounded{rest: maxOutput}, &bounded{rest: maxOutput}
	ended := process.Command{
		Line: c.Run, Dir: c.Dir, Limit: r.within(runLimit), Stdout: stdout, Stderr: stderr,
		Env: append(env, "TIDINGS_URL=http://"+s.HTTP, "TIDINGS_GRPC="+s.GRPC, "TIDINGS_TRANSPORT="+transport),
	}.Run(ctx)
	run.Transport = transport
	run.Outcomes, run.Problems = readReport(&stdout.contents)
	run.Problems = append(run.Problems, judgeEnd(ended, run.Outcomes)...)
	complete(run.Outcomes, steps, c)
	return run, stderr.contents.String()
}

// within returns how long something may take that usually may take so long.
func (r Runner) within(limit time.Duration) time.Duration {
	if r.limit != 0 {
		return r.limit
	}
	return limit
}

// judgeEnd compares how a client ended with what it said.
func judgeEnd(ended error, outcomes scenario.Outcomes) []string {
	failed := false
	for _, outcome := range outcomes {
		failed = failed || outcome.State == scenario.Failed
	}
	var exit *exec.ExitError
	switch {
	case ended == nil && failed:
		return []string{"it ended with status 0, and said that a step failed"}
	case ended == nil:
		return nil
	case !errors.As(ended, &exit) || !exit.Exited():
		return []string{"it didn't end in order: " + ended.Error()}
	case !failed:
		return []string{fmt.Sprintf("it ended with %v, and said of no step that it failed", exit)}
	default:
		return nil
	}
}

func (r Runner) verify(ctx context.Context, topic, out string, outcomes scenario.Outcomes) (err error) {
	conn, err := grpc.NewClient(r.Server.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	scenario.Verify(ctx, conn, topic, r.Values, outcomes)
	scenario.VerifyGolden(out, r.Vectors, outcomes)
	return nil
}

// tell says what came of a run.
func (r Runner) tell(name string, run Run, log string, took time.Duration) {
	counts := make(map[scenario.State]int)
	for _, outcome := range run.Outcomes {
		counts[outcome.State]++
	}
	fmt.Fprintf(r.Out, "interop: %s over %s: %d ok, %d n/a, %d failed (%v)\n", name, run.Transport,
		counts[scenario.OK], counts[scenario.NotApplicable], counts[scenario.Failed], took.Round(time.Millisecond))
	for _, step := range scenario.Steps {
		if outcome := run.Outcomes[step]; outcome.State == scenario.Failed {
			r.show(name+" over "+run.Transport+": "+step, outcome.Reason)
		}
	}
	for _, problem := range run.Problems {
		r.show(name+" over "+run.Transport, problem)
	}
	if run.Failed() && log != "" {
		fmt.Fprintln(r.Out, end(log))
	}
}

func (r Runner) show(where, problem string) {
	fmt.Fprintf(r.Out, "interop: FAILED: %s: %.4000s\n", where, problem)
}

// end returns the last lines of a log, indented.
func end(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	if len(lines) > shownLines {
		lines = append([]string{"…"}, lines[len(lines)-shownLines:]...)
	}
	return "    " + strings.Join(lines, "\n    ")
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	contents bytes.Buffer
	rest     int
}

func (b *bounded) Write(p []byte) (int, error) {
	kept := p[:min(len(p), b.rest)]
	b.rest -= len(kept)
	b.contents.Write(kept)
	return len(p), nil
}
