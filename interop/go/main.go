// The client in Go: with grpc-go over gRPC, with connect-go over Connect and
// gRPC-Web. README.md in the directory above says what it does.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// patience is how long a step waits for the server.
const patience = 10 * time.Second

func main() {
	ok, err := run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run does every step, or those that TIDINGS_STEPS names, and reports whether none
// failed.
func run(ctx context.Context) (ok bool, err error) {
	server, closeServer, err := connectTo(os.Getenv("TIDINGS_TRANSPORT"), os.Getenv("TIDINGS_GRPC"), os.Getenv("TIDINGS_URL"))
	if err != nil {
		return false, err
	}
	defer closeServer()
	s := scenario{
		server: server, topic: os.Getenv("TIDINGS_TOPIC"),
		golden: os.Getenv("TIDINGS_GOLDEN"), out: os.Getenv("TIDINGS_OUT"),
	}
	steps, err := choose([]step{
		{"topic", s.createTopic},
		{"publish", s.publish},
		{"refused", s.publishInvalid},
		{"read", s.read},
		{"tail", s.tail},
		{"consume", s.consume},
		{"deadline", s.exceedDeadline},
		{"cancel", s.cancel},
		{"golden", s.copyGolden},
		{"golden-json", s.copyGoldenJSON},
	}, os.Getenv("TIDINGS_STEPS"))
	if err != nil {
		return false, err
	}
	ok = true
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(ctx, patience)
		if err := step.do(ctx); err != nil {
			fmt.Printf("%s fail: %v\n", step.name, err)
			ok = false
		} else {
			fmt.Printf("%s ok\n", step.name)
		}
		cancel()
	}
	return ok, nil
}

// A step is a part of the scenario.
type step struct {
	name string
	do   func(context.Context) error
}

// choose returns those of the steps whose names are joined by commas, in their own
// order, or all if none are named.
func choose(all []step, names string) ([]step, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(s step) bool { return s.name == name }) {
			return nil, fmt.Errorf("TIDINGS_STEPS: there is no step %q", name)
		}
	}
	return slices.DeleteFunc(all, func(s step) bool { return !slices.Contains(wanted, s.name) }), nil
}
