package telemetry

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/tidings/server/internal/guard"
)

// maxLines bounds the lines of an access log that wait to be written. Beyond it they
// are dropped: a disk or a pipe that is slow holds up no call.
const maxLines = 4096

// AccessLog writes a line of JSON for each call that has ended.
type AccessLog struct {
	lines   chan accessLine
	dropped prometheus.Counter
	ended   guard.Group

	mu     sync.RWMutex // Held to write while lines is closed.
	closed bool
}

// accessLine is what there is to say of a call.
type accessLine struct {
	call *Call
	took time.Duration
	at   time.Time
}

// NewAccessLog writes to w, which nobody else does meanwhile, until it is closed.
// What can't be written is in the other log.
func NewAccessLog(w io.Writer, log *slog.Logger) *AccessLog {
	l := &AccessLog{
		lines: make(chan accessLine, maxLines),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidings_access_log_dropped_total",
			Help: "Lines of the access log that were dropped, because it was written too slowly or not at all.",
		}),
	}
	l.ended.Go(func() error { return l.run(w, log) }, guard.Log(log, "writing the access log"))
	return l
}

// Close writes what waits. Calls that end later have no line.
func (l *AccessLog) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.lines)
	}
	l.mu.Unlock()
	l.ended.Wait()
}

func (l *AccessLog) write(c *Call, took time.Duration) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.lines <- accessLine{c, took, time.Now()}:
	default:
		l.dropped.Inc()
	}
}

// run writes lines, and what it has when no other waits.
func (l *AccessLog) run(w io.Writer, log *slog.Logger) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	handler := slog.NewJSONHandler(buffered, nil)
	failed := false
	for line := range l.lines {
		err := handler.Handle(context.Background(), line.record())
		if err == nil && len(l.lines) == 0 {
			err = buffered.Flush()
		}
		if err == nil {
			failed = false
			continue
		}
		l.dropped.Inc()
		buffered.Reset(w)
		if !failed { // Not once for each line.
			log.Error("writing the access log", "error", err)
		}
		failed = true
	}
	return buffered.Flush()
}

// record is the line. Nothing in it is a secret: names, numbers and addresses.
func (l accessLine) record() slog.Record {
	c, failed := l.call, failure{code: codeOK}
	if f := c.failure.Load(); f != nil {
		failed = *f
	}
	peer := ""
	if c.peer != nil {
		peer = c.peer.String()
	}
	record := slog.NewRecord(l.at, slog.LevelInfo, "call", 0)
	record.AddAttrs(
		slog.String("procedure", c.of.procedure),
		slog.String("protocol", c.of.protocol),
		slog.String("peer", peer),
	)
	if principal := c.principal.Load(); principal != nil {
		record.AddAttrs(slog.String("principal", *principal))
	}
	record.AddAttrs(slog.String("code", failed.code))
	if failed.reason != "" {
		record.AddAttrs(slog.String("reason", failed.reason))
	}
	record.AddAttrs(
		slog.Float64("duration_seconds", l.took.Seconds()),
		slog.Int64("request_bytes", c.requestBytes.Load()),
		slog.Int64("response_bytes", c.responseBytes.Load()),
		slog.Int64("events", c.events.Load()),
	)
	if id := c.traceID.Load(); id != nil {
		record.AddAttrs(slog.String("trace_id", *id))
	}
	return record
}
