package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	connectrpc "connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// encoding is a way to send the same events.
type encoding struct {
	name    string
	options []connectrpc.ClientOption
	size    func(proto.Message) int
}

// encodings are compared over the same client library and HTTP/2, so that nothing
// but the encoding differs.
var encodings = []encoding{
	{"protobuf, gRPC", []connectrpc.ClientOption{connectrpc.WithGRPC()}, proto.Size},
	{"protobuf, Connect", nil, proto.Size},
	{"JSON, Connect", []connectrpc.ClientOption{connectrpc.WithProtoJSON()}, jsonSize},
}

func jsonSize(message proto.Message) int {
	encoded, err := protojson.MarshalOptions{Resolver: protoregistry.GlobalTypes}.Marshal(message)
	if err != nil {
		return 0
	}
	return len(encoded)
}

// spent is what sending events took.
type spent struct {
	rate           float64 // Events a second.
	client, server time.Duration
}

// measureEncodings sends the same events with Publish in each encoding, one after
// the other in each run, in batches and one by one.
func measureEncodings(ctx context.Context, cfg config, progress io.Writer) (report *scaleReport, err error) {
	data, err := newDataset(cfg.events, cfg.batch, cfg.size)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidings-encodings-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, schemas, err := buildServer(ctx, cfg.serverDir, dir, "tidings")
	if err != nil {
		return nil, err
	}
	server, err := startProcess(ctx, "tidings", binary,
		serverArgs(filepath.Join(dir, "data"), cfg.sync, schemas)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()

	report = newScaleReport(cfg)
	for _, batch := range slices.Compact([]int{cfg.batch, 1}) {
		found := make([][]spent, len(encodings))
		for run := range cfg.runs + 1 { // The first warms up.
			for i, e := range encodings {
				fmt.Fprintf(progress, "%s  %-20s batches of %d", runName(run, cfg.runs), e.name, batch)
				s, err := e.publish(ctx, server, data, batch, cfg.duration, fmt.Sprintf("encoding-%d-%d-%d", batch, run, i))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", e.name, err)
				}
				fmt.Fprintf(progress, " %9.0f/s\n", s.rate)
				if run > 0 {
					found[i] = append(found[i], s)
				}
			}
		}
		for i, e := range encodings {
			report.Rows = append(report.Rows, e.row(data, batch, found[i]))
		}
	}
	return report, nil
}

// row is what the runs found in the middle.
func (e encoding) row(data *dataset, batch int, runs []spent) scaleRow {
	middle := func(of func(spent) float64) float64 {
		values := make([]float64, len(runs))
		for i, s := range runs {
			values[i] = of(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	size := e.size(&tidingsv1.PublishRequest{Topic: "orders", Events: data.events[:batch]}) / batch
	return scaleRow{
		What: fmt.Sprintf("%s, batches of %d", e.name, batch),
		Found: fmt.Sprintf("%.0f events/s; %d bytes, %.1f µs of the client and %.1f µs of the server an event",
			middle(func(s spent) float64 { return s.rate }), size,
			middle(func(s spent) float64 { return float64(s.client) / 1e3 }),
			middle(func(s spent) float64 { return float64(s.server) / 1e3 })),
	}
}

// publish sends events for a while to a topic of its own, one call at a time.
func (e encoding) publish(ctx context.Context, server *process, data *dataset, batch int, least time.Duration, topic string) (spent, error) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: new(net.Dialer).DialContext}
	defer transport.CloseIdleConnections()
	url, options := "http://"+server.HTTP, e.options
	topics := tidingsv1connect.NewTopicServiceClient(&http.Client{Transport: transport}, url)
	if _, err := topics.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err != nil {
		return spent{}, err
	}
	publisher := tidingsv1connect.NewPublisherServiceClient(&http.Client{Transport: transport}, url, options...)
	client, err := processorTime(os.Getpid())
	if err != nil {
		return spent{}, err
	}
	used, err := processorTime(server.Pid())
	if err != nil {
		return spent{}, err
	}
	begun, count := time.Now(), 0
	for ; time.Since(begun) < least && count+batch <= len(data.events); count += batch {
		response, err := publisher.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: data.events[count : count+batch]})
		if err != nil {
			return spent{}, err
		}
		if len(response.GetReceipts()) != batch {
			return spent{}, fmt.Errorf("%d receipts for %d events", len(response.GetReceipts()), batch)
		}
	}
	elapsed := time.Since(begun)
	clientAfter, err := processorTime(os.Getpid())
	if err != nil {
		return spent{}, err
	}
	after, err := processorTime(server.Pid())
	return spent{
		rate:   float64(count) / elapsed.Seconds(),
		client: (clientAfter - client) / time.Duration(count),
		server: (after - used) / time.Duration(count),
	}, err
}
