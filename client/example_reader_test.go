package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/client"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A program reads the topic from where it was, and stores where it is.
func ExampleReader_Events() {
	c, closing := topicOf(wrapperspb.String("1001"), wrapperspb.Double(12.5), wrapperspb.String("1002"))
	defer closing()

	stored := "" // From the last time.
	options := client.ReaderOptions{Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}}
	if stored != "" {
		options.Start = &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: stored}}
	}
	reader := c.Reader("orders", options)
	for event, err := range reader.Events(context.Background()) {
		if unknown, ok := errors.AsType[*client.ContentError](err); ok {
			fmt.Println("skipped", unknown.Type)
			continue
		}
		if err != nil {
			log.Print(err)
			break
		}
		switch message := event.Message.(type) {
		case *wrapperspb.StringValue:
			fmt.Println(event.GetSequence(), "order", message.GetValue())
		case *wrapperspb.DoubleValue:
			fmt.Println(event.GetSequence(), "amount", message.GetValue())
		}
	}
	stored = reader.Cursor()
	fmt.Println("read on from", stored)
	// Output:
	// 1 order 1001
	// 2 amount 12.5
	// 3 order 1002
	// read on from after-3
}

// topicOf returns a client of a server with a topic of these events.
func topicOf(events ...proto.Message) (c *client.Client, closing func()) {
	listener, server := bufconn.Listen(1<<20), grpc.NewServer()
	tidingsv1.RegisterReaderServiceServer(server, topicServer{events: events})
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Print(err)
		}
	}()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		log.Fatal(err)
	}
	return client.New(conn), func() {
		_ = conn.Close()
		server.Stop()
	}
}

// topicServer is a server that sends its events and ends the call.
type topicServer struct {
	tidingsv1.UnimplementedReaderServiceServer

	events []proto.Message
}

func (s topicServer) Read(_ *tidingsv1.ReadRequest, stream grpc.ServerStreamingServer[tidingsv1.ReadResponse]) error {
	batch := new(tidingsv1.EventBatch)
	for i, event := range s.events {
		data, err := anypb.New(event)
		if err != nil {
			return err
		}
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{
			Event: &tidingsv1.Event{Data: data}, Sequence: int64(i + 1), Cursor: fmt.Sprint("after-", i+1),
		})
	}
	return stream.Send(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}})
}
