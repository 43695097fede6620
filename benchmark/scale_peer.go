package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/tidings/internal/testserver"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// readersPeer is the name under which the program is readers of a topic. Each
// has a connection of its own.
const readersPeer = "readers"

// What readers do.
const (
	modeStall  = "stall"  // Receive nothing, though there is much.
	modeFollow = "follow" // Receive what comes.
	modeReplay = "replay" // Receive everything, again and again.
)

// serveReaders reads until the context ends, and then prints how many bytes came.
func serveReaders(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(readersPeer, flag.ContinueOnError)
	addr, topic := flags.String("addr", "", "`address` of the server"), flags.String("topic", "", "`name` of the topic")
	count, mode := flags.Int("count", 1, "`number` of readers"), flags.String("mode", modeStall, "what they do")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun, all sync.WaitGroup
	var bytes atomic.Int64
	for range *count {
		begun.Add(1)
		all.Go(func() {
			started := sync.OnceFunc(begun.Done)
			defer started()
			if err := readLarge(ctx, *addr, *topic, *mode, &bytes, started); err != nil {
				cancel(err)
			}
		})
	}
	begun.Wait()
	if err := testserver.Ready(*addr); err != nil {
		return err
	}
	<-ctx.Done()
	all.Wait()
	fmt.Println(bytes.Load()) // The parent reads it.
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// readLarge is one reader. It calls started when it has begun.
func readLarge(ctx context.Context, addr, topic, mode string, bytes *atomic.Int64, started func()) (err error) {
	conn, err := dialRaw(addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	request := &tidingsv1.ReadRequest{Topic: topic, Start: boundary(tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST)}
	switch mode {
	case modeFollow:
		request.Start = boundary(tidingsv1.StartBoundary_START_BOUNDARY_NEW)
	case modeReplay:
		request.Stop = &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}
	}
	for ctx.Err() == nil {
		stream, err := openRead(ctx, conn, request)
		if err == nil && mode == modeStall {
			if _, err = stream.Header(); err == nil {
				started()
				<-ctx.Done()
			}
		} else if err == nil {
			err = receiveAll(stream, bytes, started)
		}
		if err != nil && status.Code(err) != codes.Canceled {
			return err
		}
	}
	return nil
}

func receiveAll(stream grpc.ClientStream, bytes *atomic.Int64, started func()) error {
	var frame rawReceive
	defer frame.free()
	for {
		if err := stream.RecvMsg(&frame); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		started()
		bytes.Add(int64(len(frame.bytes())))
	}
}
