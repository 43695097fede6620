package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// sizes are those of the encoded events of the sizes suite. The smallest is what the
// fields that an event has to have leave.
var sizes = []int{smallestPlain, 264, 1024, 16 << 10}

const (
	smallestPlain = 64
	// plainBytes bounds the events of a size.
	plainBytes = 48 << 20
	// ownNumbers is how many streams and topics of a client may follow the first.
	ownNumbers = 1_000_000
)

// newPlainDataset makes events of any size, whose payload is bytes to the server.
func newPlainDataset(count, batch, size int) (*dataset, error) {
	plain := func(number, padding int) *tidingsv1.Event {
		event := &tidingsv1.Event{Id: fmt.Sprintf("%07d", number), Source: "/shop", Data: &anypb.Any{TypeUrl: typeURL(bytesOrder)}}
		if padding > 0 {
			event.Data.Value = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(strings.Repeat("p", padding)))
		}
		return event
	}
	padding := max(0, size-proto.Size(plain(0, 0)))
	for padding > 0 && proto.Size(plain(0, padding)) > size {
		padding--
	}
	if got := proto.Size(plain(0, padding)); got != size {
		return nil, fmt.Errorf("an event of %d bytes comes out as one of %d", size, got)
	}
	d := &dataset{batch: batch}
	request := new(tidingsv1.PublishRequest)
	for i := range count {
		event := plain(i, padding)
		encoded, err := proto.Marshal(event)
		if err != nil {
			return nil, err
		}
		d.events, d.encoded = append(d.events, event), append(d.encoded, encoded)
		request.Events = append(request.Events, event)
		if len(request.GetEvents()) == batch {
			encoded, err := proto.Marshal(request)
			if err != nil {
				return nil, err
			}
			d.encodedRequests = append(d.encodedRequests, encoded)
			request.Reset()
		}
	}
	return d, nil
}

// sizesSuite publishes and reads events of several sizes.
var sizesSuite = suite{"sizes", "measure events of some sizes, up to 16 KiB", 1, func(ctx context.Context, cfg config, progress io.Writer) (rows []row, _ func() error, err error) {
	fmt.Fprintf(progress, "building the server\n")
	data, err := newDataset(cfg.batch, cfg.batch, cfg.size)
	if err != nil {
		return nil, func() error { return nil }, err
	}
	s, err := startServers(ctx, cfg, data)
	var clients []func() error
	stop := func() error {
		var failed []error
		for _, end := range clients {
			failed = append(failed, end())
		}
		return errors.Join(append(failed, s.stop())...)
	}
	if err != nil {
		return nil, stop, err
	}
	for i, size := range sizes {
		at := cfg
		at.events = max(1, min(cfg.events, plainBytes/size)/cfg.batch) * cfg.batch
		data, err := newPlainDataset(at.events, cfg.batch, size)
		if err != nil {
			return nil, stop, err
		}
		raw, err := newRawNATS(s.processes[0].GRPC, data)
		if err != nil {
			return nil, stop, err
		}
		clients = append(clients, func() error { raw.close(); return nil })
		t, err := tidingsClient(s.processes[2].GRPC, data)
		if err != nil {
			return nil, stop, err
		}
		clients = append(clients, t.close)
		raw.streams, t.topics = (i+1)*ownNumbers, (i+1)*ownNumbers
		rows = append(rows, sizeRows(at, size, raw, t)...)
	}
	return rows, stop, nil
}}

func sizeRows(cfg config, size int, raw *rawNATS, t *tidings) (rows []row) {
	of := section{fmt.Sprintf("Events of %s bytes", thousandsExactly(size)), "raw", rates}
	add := func(label, against string, pass func(context.Context) (time.Duration, error)) {
		r := moving(cfg, of, fmt.Sprintf("%s, %d bytes", label, size), fmt.Sprintf("%s, %d bytes", against, size), pass)
		r.label = label
		r.note = fmt.Sprintf("%d events a pass", cfg.events)
		rows = append(rows, r)
	}
	const published, read = "raw NATS, publish", "raw NATS, read"
	add(published, published, raw.publishSingle)
	add("Tidings, publish, pre-encoded", published, t.publishEncoded)
	add(read, read, raw.readSingle)
	add("Tidings, read without decoding", read, t.readEncoded)
	return rows
}

// thousandsExactly writes a number with commas.
func thousandsExactly(value int) string {
	if value < 1000 {
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("%d,%03d", value/1000, value%1000)
}
