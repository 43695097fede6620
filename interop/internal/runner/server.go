package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/interop/internal/process"
	"example.com/tidings/interop/internal/reference"
	"example.com/tidings/interop/internal/scenario"
)

const (
	serverBuildLimit = 15 * time.Minute
	// stopWithin is what interop/README.md asks of reference servers.
	stopWithin = 10 * time.Second
)

// A ServerRun is what came of a reference server over one transport.
type ServerRun struct {
	// Run is that of the client that called it, with the steps of ServerSteps, and
	// with the problems that the conformance suite has.
	Run

	Conformance Conformance
}

// A ServerResult is what came of one reference server.
type ServerResult struct {
	Server reference.Server
	Runs   []ServerRun // None where it couldn't be built or started.
	// Problems are those of the server as a whole.
	Problems []string
}

// Failed reports whether anything was not as it has to be.
func (r ServerResult) Failed() bool {
	return len(r.Problems) > 0 || slices.ContainsFunc(r.Runs, func(run ServerRun) bool { return run.Failed() })
}

// RunServer builds a reference server and starts it; over each of its transports
// it has the Caller do its steps, and runs the conformance suite. Its error is
// that of the runner itself, or of ctx.
func (r Runner) RunServer(ctx context.Context, s reference.Server) (ServerResult, error) {
	result := ServerResult{Server: s}
	name := "servers/" + s.Name
	fail := func(problem string) {
		result.Problems = append(result.Problems, problem)
		r.show(name, problem)
	}
	fmt.Fprintf(r.Out, "interop: %s: building\n", name)
	for _, problem := range []string{
		r.build(ctx, r.Caller.Build, r.Caller.Dir, buildLimit),
		r.build(ctx, s.Build, s.Dir, serverBuildLimit),
	} {
		if problem != "" {
			fail(problem)
			return result, ctx.Err()
		}
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return result, err
	}
	server, err := process.StartListening(ctx, s.Run, s.Dir, r.within(testserver.ReadyWithin))
	if err != nil {
		fail(err.Error())
		return result, ctx.Err()
	}
	for _, transport := range s.Transports {
		if ctx.Err() != nil || server.Ended() != nil {
			break
		}
		if transport == "grpc" && server.GRPC == "" || transport != "grpc" && server.HTTP == "" {
			fail(fmt.Sprintf("it printed no address for %s, which transports in %s names", transport, reference.File))
			continue
		}
		result.Runs = append(result.Runs, r.runServer(ctx, s, server, transport))
	}
	if err := server.Ended(); err != nil && ctx.Err() == nil {
		fail(fmt.Sprintf("while it was called, %v\n%s", err, end(server.Output())))
	}
	// With which status it ends when it is told to is its own business.
	if err := server.StopBy(syscall.SIGTERM, r.within(stopWithin)); errors.Is(err, testserver.ErrNotStopped) {
		fail(err.Error())
	}
	return result, ctx.Err()
}

// runServer calls a server that runs over one transport.
func (r Runner) runServer(ctx context.Context, s reference.Server, server *testserver.Server, transport string) ServerRun {
	start := time.Now()
	run, log := r.call(ctx, r.Caller, server, transport, scenario.ServerSteps,
		"TIDINGS_TOPIC=interop-"+transport, "TIDINGS_STEPS="+strings.Join(scenario.ServerSteps, ","))
	if ctx.Err() != nil {
		return ServerRun{Run: run}
	}
	name := "servers/" + s.Name
	r.tell(name, run, log, time.Since(start))
	start = time.Now()
	conformance, problem := r.conform(ctx, s, server, transport)
	name += " over " + transport
	switch {
	case ctx.Err() != nil: // That is why it failed.
	case problem != "":
		run.Problems = append(run.Problems, problem)
		r.show(name, problem)
	default:
		fmt.Fprintf(r.Out, "interop: %s: conformance: %v (%v)\n", name, conformance, time.Since(start).Round(time.Millisecond))
	}
	return ServerRun{Run: run, Conformance: conformance}
}
