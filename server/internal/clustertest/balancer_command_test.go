package clustertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// checkCommand uses `tidings --server` with all replicas while one of them is away:
// commands that are started then pass it over, and one that runs goes on.
func (e *edge) checkCommand(t *testing.T, binary string) {
	t.Helper()
	const topic = "via-command"
	e.createTopic(t, topic)
	var servers []string
	for _, r := range e.c.replicas {
		servers = append(servers, "grpc://"+r.host.front(grpcPort))
	}
	h := e.network.host("command", true)
	command := func(ctx context.Context, arguments ...string) *exec.Cmd {
		return exec.CommandContext(ctx, binary, append(arguments, "--server", strings.Join(servers, ","))...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), recovery)
	defer cancel()
	consumer := command(ctx, "consume", topic)
	events, err := consumer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.start(consumer); err != nil {
		t.Fatal(err)
	}
	ids := make(chan string)
	go func() {
		defer close(ids)
		for lines := bufio.NewScanner(events); lines.Scan(); {
			var line struct {
				Recorded struct {
					Event struct {
						ID string `json:"id"`
					} `json:"event"`
				} `json:"recorded"`
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("the consumer printed %q: %v", lines.Text(), err)
			}
			ids <- line.Recorded.Event.ID
		}
	}()
	count := 0
	publish := func() {
		t.Helper()
		count++
		sent := event(fmt.Sprint("command-", count))
		publisher := command(ctx, "publish", "--topic", topic)
		publisher.Stdin = strings.NewReader(eventLine(t, sent))
		var output strings.Builder
		publisher.Stdout, publisher.Stderr = &output, &output
		if err := h.start(publisher); err != nil {
			t.Fatal(err)
		}
		if err := publisher.Wait(); err != nil {
			t.Fatalf("publishing with %s: %v: %s", strings.Join(servers, ","), err, &output)
		}
		for id := range ids {
			if id == sent.GetId() {
				return
			} // Else one whose ack was lost with a replica.
		}
		t.Fatalf("the consumer ended before it got %s", sent.GetId())
	}
	publish()
	for _, victim := range e.c.replicas {
		victim.end(syscall.SIGKILL)
		for range members { // However the lot falls, one of them draws it.
			publish()
		}
		victim.start()
		e.c.await(victim.name+" is ready", func(ctx context.Context) error { return ready(ctx, e.c.nats.http, victim) })
	}
	_ = consumer.Process.Signal(syscall.SIGTERM)
	for range ids { // Until it has ended.
	}
	_ = consumer.Wait() // Its status says that it was interrupted.
	t.Logf("tidings --server with %d replicas: %d events, with each of them killed in turn", len(servers), count)
}

// eventLine is an event as `tidings publish` takes it.
func eventLine(t *testing.T, e *tidingsv1.Event) string {
	t.Helper()
	line, err := protojson.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}
