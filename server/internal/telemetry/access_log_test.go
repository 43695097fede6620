package telemetry_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"example.com/tidings/server/internal/telemetry"
)

// gate is a writer that waits until it is let go on, and then fails as often as it is to.
type gate struct {
	open  chan struct{}
	fails int
	text  strings.Builder
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	if g.fails > 0 {
		g.fails--
		return 0, errors.New("no space left on device")
	}
	return g.text.Write(p)
}

func TestAccessLogLine(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.DiscardHandler)
	access := telemetry.NewAccessLog(&text, log)
	m := telemetry.New(telemetry.Config{Version: "1", Log: log, AccessLog: access})
	call := m.Begin(telemetry.CallInfo{Procedure: "/a.B/C", Protocol: telemetry.ProtocolConnect, Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}})
	call.SetPrincipal("corp:\"a\"\x01\n")
	call.SetTraceID(trace.TraceID{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36})
	call.Received(10)
	call.Sent(20)
	call.AddEvents(3)
	call.Fail("INVALID_ARGUMENT", "EVENT_INVALID")
	call.End()
	access.Close()
	m.Begin(telemetry.CallInfo{}).End() // It is too late, and no panic.

	var line map[string]any
	if err := json.Unmarshal([]byte(text.String()), &line); err != nil {
		t.Fatalf("%v: %s", err, text.String())
	}
	for key, want := range map[string]any{
		"level": "INFO", "msg": "call",
		"procedure": "/a.B/C", "protocol": "connect", "peer": "127.0.0.1:1", "principal": "corp:\"a\"\x01\n",
		"code": "INVALID_ARGUMENT", "reason": "EVENT_INVALID", "request_bytes": 10.0, "response_bytes": 20.0, "events": 3.0,
		"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	if seconds, ok := line["duration_seconds"].(float64); !ok || seconds <= 0 {
		t.Errorf("duration_seconds is %v", line["duration_seconds"])
	}
}

// TestAccessLogHoldsUpNobody has a file that takes nothing for a while: calls end
// meanwhile, and what is dropped is counted.
func TestAccessLogHoldsUpNobody(t *testing.T) {
	slow := &gate{open: make(chan struct{}), fails: 1}
	var problems strings.Builder
	log := slog.New(slog.NewTextHandler(&problems, nil))
	access := telemetry.NewAccessLog(slow, log)
	m := telemetry.New(telemetry.Config{Version: "1", Log: log, AccessLog: access})
	const calls = 20_000
	for range calls {
		m.Begin(telemetry.CallInfo{Procedure: "/a.B/C", Protocol: telemetry.ProtocolGRPC}).End()
	}
	dropped := scrape(t, m)
	close(slow.open)
	access.Close()
	if strings.Contains(dropped, "tidings_access_log_dropped_total 0\n") || !strings.Contains(dropped, "tidings_access_log_dropped_total ") {
		t.Errorf("nothing was dropped: %s", dropped)
	}
	if written := strings.Count(slow.text.String(), "\n"); written == 0 || written >= calls {
		t.Errorf("%d lines were written", written)
	}
	if strings.Count(problems.String(), "no space left") != 1 {
		t.Errorf("the log says %q", problems.String())
	}
}

// The lines of a full disk are lost, and no half of one is left.
func TestAccessLogOfAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close() //nolint:errcheck // Nothing was written.
	var problems strings.Builder
	access := telemetry.NewAccessLog(full, slog.New(slog.NewTextHandler(&problems, nil)))
	m := telemetry.New(telemetry.Config{Version: "1", Log: slog.New(slog.DiscardHandler), AccessLog: access})
	m.Begin(telemetry.CallInfo{Procedure: "/a.B/C"}).End()
	access.Close()
	if !strings.Contains(problems.String(), "no space left") {
		t.Errorf("the log says %q", problems.String())
	}
}
