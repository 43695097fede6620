package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestMain lets the test program be the servers that the benchmark starts from
// itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && peers[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// smoke is a configuration that takes a moment.
func smoke(t *testing.T) config {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and measures servers")
	}
	t.Setenv("TMPDIR", t.TempDir())
	cfg, err := parseFlags([]string{"-events", "2000", "-runs", "1", "-duration", "1ms"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestEveryRowMeasures(t *testing.T) {
	wantRows(t, mainSuite, 32)
}

// The measurement of fairness works, and so do the quotas.
func TestFairnessMeasures(t *testing.T) {
	cfg := smoke(t)
	cfg.duration = 50 * time.Millisecond
	var progress strings.Builder
	found, err := measureFairness(t.Context(), cfg, &progress)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Rows) != 4 {
		t.Errorf("%d rows, want 4", len(found.Rows))
	}
	if text := progress.String(); strings.Count(text, "(the other: ") != 6 || !strings.Contains(text, " refused") {
		t.Errorf("the floods were: %s", text)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What is timed is the real thing: every event is stored once and comes back as
// it was sent.
func TestWorkloadsMoveEveryEvent(t *testing.T) {
	cfg := smoke(t)
	data, err := newDataset(cfg.events, cfg.batch, cfg.size)
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServers(t.Context(), cfg, data)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, publish := range map[string]func(context.Context) (time.Duration, error){
		"typed": s.tidings.publishTyped, "encoded": s.tidings.publishEncoded, "client": s.tidings.publishClient,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := readAll(t, s.tidings)
			if len(got) != len(data.events) {
				t.Fatalf("read %d events, sent %d", len(got), len(data.events))
			}
			for i, event := range got {
				// The server fills the key.
				want := proto.CloneOf(data.events[i])
				want.PartitionKey = new("order-" + want.GetId())
				if !proto.Equal(event.GetEvent(), want) {
					t.Fatalf("event %d: got %v, want %v", i, event.GetEvent(), want)
				}
			}
		})
	}
	t.Run("lost events are noticed", func(t *testing.T) {
		short := s.tidings
		short.data = &dataset{events: data.events[1:], requests: data.requests, encodedRequests: data.encodedRequests, batch: data.batch}
		for name, workload := range map[string]func(context.Context) (time.Duration, error){
			"publishTyped": short.publishTyped, "publishEncoded": short.publishEncoded,
			"readTyped": short.readTyped, "readEncoded": short.readEncoded,
			"consumeTyped": short.consumeTyped, "consumeEncoded": short.consumeEncoded,
		} {
			if _, err := workload(t.Context()); err == nil || !strings.Contains(err.Error(), "2000 events of 1999") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("refused events are noticed", func(t *testing.T) {
		bad := s.tidings
		bad.data = &dataset{
			events:   data.events[:1],
			requests: []*tidingsv1.PublishStreamRequest{{Publish: &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{{Id: "without data"}}}}},
		}
		if _, err := bad.publishTyped(t.Context()); err == nil || !strings.Contains(err.Error(), "events[0]") {
			t.Errorf("got %v", err)
		}
		bad.data.events = bad.data.requests[0].GetPublish().GetEvents()
		if _, err := bad.publishClient(t.Context()); err == nil || !strings.Contains(err.Error(), "events[0]") {
			t.Errorf("got %v", err)
		}
	})
}

// Everything that scale is about is measured, and nothing stays behind.
func TestScaleMeasures(t *testing.T) {
	cfg := smoke(t)
	cfg.scale = scale{topics: 3, events: 2 * eventsOfKey, streams: 3, live: 20, large: 3, replays: 2, stalled: 2}
	found, err := measureScale(t.Context(), cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := found.write(&table, outputMarkdown); err != nil {
		t.Fatal(err)
	}
	if len(found.Rows) != 33 || strings.Count(table.String(), "\n| ") != len(found.Rows)+1 {
		t.Errorf("%d rows, want 33:\n%s", len(found.Rows), table.String())
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func readAll(t *testing.T, tidings *tidings) []*tidingsv1.RecordedEvent {
	t.Helper()
	stream, err := tidingsv1.NewReaderServiceClient(tidings.conn).Read(t.Context(), tidings.readRequest())
	if err != nil {
		t.Fatal(err)
	}
	var all []*tidingsv1.RecordedEvent
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, response.GetEvents().GetEvents()...)
	}
}

func TestInterrupt(t *testing.T) {
	smoke(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	// The first row of the first run is measured: everything has been started.
	err := run(ctx, []string{"-events", "2000", "-duration", "1h"}, &out, writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "warm-up  1/") {
			cancel()
		}
		return len(p), nil
	}))
	if err == nil || err.Error() != "interrupted" || out.Len() > 0 {
		t.Errorf("error %v, output %q", err, out.String())
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-batch", "0"}, {"-batch", "4097"}, {"-events", "0"}, {"-events", "5000001"}, {"-size", "10"}, {"-size", "100000"},
		{"-runs", "0"}, {"-output", "xml"}, {"-rows", "("}, {"-scale-topics", "0"}, {"-scale-streams", "0"}, {"-scale-events", "15"}, {"-unknown"}, {"extra"},
	} {
		var complaint bytes.Buffer
		if _, err := parseFlags(args, &complaint); !errors.Is(err, errUsage) || complaint.Len() == 0 {
			t.Errorf("%v: error %v, complaint %q", args, err, complaint.String())
		}
	}
	cfg, err := parseFlags([]string{"-events", "101", "-batch", "50"}, io.Discard)
	if err != nil || cfg.events != 150 {
		t.Errorf("%d events, want whole batches, 150; error %v", cfg.events, err)
	}
}

// The yardstick is worth something only as the server that Tidings embeds.
func TestSameServerAsTidings(t *testing.T) {
	for _, module := range []string{"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "google.golang.org/grpc"} {
		versions := make(map[string]string)
		for _, dir := range []string{".", "../server"} {
			out, err := exec.CommandContext(t.Context(), "go", "-C", dir, "list", "-m", "-f", "{{.Version}}", module).Output()
			if err != nil {
				t.Fatal(err)
			}
			versions[dir] = string(out)
		}
		if versions["."] != versions["../server"] {
			t.Errorf("%s: %q", module, versions)
		}
	}
}

func TestReportJSON(t *testing.T) {
	found := newReport(config{runs: 2}, mainSuite, []row{{name: "raw", against: "raw"}, {name: "other", against: "raw"}})
	found.add(map[string]sample{"raw": {rate: 100}, "other": {rate: 300}}, disturbance{})
	found.add(map[string]sample{"raw": {rate: 200}, "other": {rate: 200}}, disturbance{})
	var out bytes.Buffer
	if err := found.write(&out, outputJSON); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	// The ratio is the median of the ratios 3 and 1, not that of the medians.
	if l := got.Rows[1]; l.PerSecond != 250 || l.Ratio != 2 {
		t.Errorf("%v events/s, ratio %v; want 250, 2", l.PerSecond, l.Ratio)
	}
}
