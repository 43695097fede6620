//go:build unix

package rpc_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/rpc"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// BenchmarkTelemetry publishes over native gRPC without metrics of calls, with them, and
// with the access log: batches of 100 events in a stream, and single events. Compare
// the three of one run: cpu-ns/op is what the process used, client and server together,
// which other processes change less than the time.
func BenchmarkTelemetry(b *testing.B) {
	for _, kind := range []string{"without", "metrics", "access log"} {
		b.Run(kind, func(b *testing.B) {
			c := benchTelemetry(b, kind)
			b.Run("stream of 100", func(b *testing.B) {
				defer reportProcessor(b)()
				benchStream(b, c)
			})
			b.Run("unary", func(b *testing.B) {
				defer reportProcessor(b)()
				for b.Loop() {
					if _, err := c.Publish(b.Context(), benchBatch(b, 1)); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func benchTelemetry(b *testing.B, kind string) client {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := startWith(b.Context(), b.TempDir(), nil, func(c *rpc.Config) {
		config := telemetry.Config{Version: "1", Log: log}
		if kind == "access log" {
			config.AccessLog = telemetry.NewAccessLog(io.Discard, log)
			b.Cleanup(config.AccessLog.Close)
		}
		if kind != "without" {
			c.Metrics = telemetry.New(config)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.close)
	return newGRPCClient(dialGRPC(b, s.grpcAddr))
}

func benchBatch(b *testing.B, count int) *tidingsv1.PublishRequest {
	b.Helper()
	request, id := &tidingsv1.PublishRequest{Topic: "orders", Events: make([]*tidingsv1.Event, count)}, rand.Text()
	for i := range request.GetEvents() {
		request.Events[i] = benchEvent(b, fmt.Sprint(id, i))
	}
	return request
}

func benchStream(b *testing.B, c client) {
	b.Helper()
	stream, err := c.publishStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	const ahead = 16
	sent := 0
	for b.Loop() {
		if err := stream.Send(&tidingsv1.PublishStreamRequest{Publish: benchBatch(b, 100)}); err != nil {
			b.Fatal(err)
		}
		sent++
		if sent > ahead {
			if _, err := stream.Recv(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		b.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
}

func benchEvent(b *testing.B, id string) *tidingsv1.Event {
	b.Helper()
	data, err := anypb.New(placed("1"))
	if err != nil {
		b.Fatal(err)
	}
	return &tidingsv1.Event{Id: id, Source: "/bench", Data: data}
}

// reportProcessor reports the processor time until the function that it returns is called.
func reportProcessor(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	began := used()
	return func() { b.ReportMetric(float64(used()-began)/float64(b.N), "cpu-ns/op") }
}
