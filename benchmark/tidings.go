package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// tidings is the clients of a Tidings server: the generated one, as its users
// have it, and one that sends and receives bytes.
type tidings struct {
	data *dataset
	conn *grpc.ClientConn
	raw  *grpc.ClientConn
	// topic is the one that was written last.
	topic string
	// keyed is the topic of keyedTopic.
	keyed         string
	topics        int
	prefix        string // Of the topics' names.
	subscriptions int
}

// tidingsClient connects to a server without TLS and credentials.
func tidingsClient(addr string, data *dataset) (*tidings, error) { return newTidings(addr, data) }

// newTidings connects to a server, without TLS unless the options say otherwise.
func newTidings(addr string, data *dataset, options ...grpc.DialOption) (*tidings, error) {
	conn, err := dial(addr, options...)
	if err != nil {
		return nil, err
	}
	raw, err := dialRaw(addr, options...)
	return &tidings{data: data, conn: conn, raw: raw}, err
}

func (t *tidings) close() error { return errors.Join(t.conn.Close(), t.raw.Close()) }

// newTopic makes a topic in place of another and returns its name.
func (t *tidings) newTopic(ctx context.Context, instead string) (string, error) {
	topics := tidingsv1.NewTopicServiceClient(t.conn)
	if instead != "" {
		if _, err := topics.DeleteTopic(ctx, &tidingsv1.DeleteTopicRequest{Name: instead}); err != nil {
			return "", err
		}
	}
	t.topics++
	name := fmt.Sprintf("%sbench-%d", t.prefix, t.topics)
	_, err := topics.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name}})
	return name, err
}

// publishTyped sends the batches with the generated client.
func (t *tidings) publishTyped(ctx context.Context) (elapsed time.Duration, err error) {
	if t.topic, err = t.newTopic(ctx, t.topic); err != nil {
		return 0, err
	}
	for _, request := range t.data.requests {
		request.Publish.Topic = t.topic
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	stream, err := tidingsv1.NewPublisherServiceClient(t.conn).PublishStream(ctx)
	if err != nil {
		return 0, err
	}
	stored := 0
	err = exchange(cancel, func() error {
		for _, request := range t.data.requests {
			if err := stream.Send(request); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		for {
			response, err := stream.Recv()
			if err != nil {
				return endOfStream(err)
			}
			if refused := response.GetError(); refused != nil {
				return fmt.Errorf("batch %d: %s", response.GetBatch(), refused.GetMessage())
			}
			stored += len(response.GetPublished().GetReceipts())
		}
	})
	return time.Since(begun), t.expectStored(err, stored)
}

func (t *tidings) expectStored(err error, stored int) error {
	if err == nil && stored != len(t.data.events) {
		return fmt.Errorf("tidings stored %d events of %d", stored, len(t.data.events))
	}
	return err
}

// publishEncoded sends batches that were encoded before.
func (t *tidings) publishEncoded(ctx context.Context) (time.Duration, error) {
	return t.publishRequests(ctx, t.data.encodedRequests)
}

// publishBare, publishKeyed and publishBytes send them as what the server checks
// less.
func (t *tidings) publishBare(ctx context.Context) (time.Duration, error) {
	return t.publishRequests(ctx, t.data.checkedLess.bare)
}

func (t *tidings) publishKeyed(ctx context.Context) (time.Duration, error) {
	return t.publishRequests(ctx, t.data.checkedLess.keyed)
}

func (t *tidings) publishBytes(ctx context.Context) (time.Duration, error) {
	return t.publishRequests(ctx, t.data.checkedLess.bytes)
}

// embedded is an encoded PublishStreamRequest with a PublishRequest in parts.
func embedded(parts ...[]byte) rawSend {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	header := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.BytesType), uint64(size))
	return append(rawSend{header}, parts...)
}

// publishRequests sends encoded batches, to which the topic is added.
func (t *tidings) publishRequests(ctx context.Context, requests [][]byte) (elapsed time.Duration, err error) {
	if t.topic, err = t.newTopic(ctx, t.topic); err != nil {
		return 0, err
	}
	return t.publishTo(ctx, requests, []string{t.topic})
}

// topicField is PublishRequest.topic, encoded.
func topicField(topic string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), topic)
}

// publishTo sends encoded batches to topics in turns.
func (t *tidings) publishTo(ctx context.Context, requests [][]byte, topics []string) (time.Duration, error) {
	encoded := make([][]byte, len(topics))
	for i, topic := range topics {
		encoded[i] = topicField(topic)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := time.Now()
	stream, err := t.raw.NewStream(ctx, bidirectional, tidingsv1.PublisherService_PublishStream_FullMethodName)
	if err != nil {
		return 0, err
	}
	stored := 0
	err = exchange(cancel, func() error {
		for i, request := range requests {
			if err := stream.SendMsg(embedded(encoded[i%len(encoded)], request)); err != nil {
				return err
			}
		}
		return stream.CloseSend()
	}, func() error {
		var response rawReceive
		defer response.free()
		for {
			if err := stream.RecvMsg(&response); err != nil {
				return endOfStream(err)
			}
			// PublishStreamResponse.published.receipts
			receipts, err := countNested(response.bytes(), 2, 2)
			if err == nil && receipts == 0 {
				err = refusedIn(response.bytes())
			}
			if err != nil {
				return err
			}
			stored += receipts
		}
	})
	return time.Since(begun), t.expectStored(err, stored)
}

// refusedError is why a batch wasn't stored.
type refusedError struct{ detail *tidingsv1.ErrorDetail }

func (e *refusedError) Error() string {
	return fmt.Sprintf("a batch was refused: %s: %s", e.detail.GetReason(), e.detail.GetMessage())
}

// refusedIn returns the error of an encoded PublishStreamResponse.
func refusedIn(encoded []byte) error {
	var response tidingsv1.PublishStreamResponse
	if err := proto.Unmarshal(encoded, &response); err != nil {
		return err
	}
	return &refusedError{response.GetError()}
}

// countNested counts the messages in a repeated field of a message in a field.
func countNested(data []byte, outer, inner protowire.Number) (int, error) {
	count := 0
	err := eachField(data, outer, func(value []byte) error {
		return eachField(value, inner, func([]byte) error {
			count++
			return nil
		})
	})
	return count, err
}

func eachField(data []byte, number protowire.Number, visit func(value []byte) error) error {
	for len(data) > 0 {
		found, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if found == number && kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(data)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := visit(value); err != nil {
				return err
			}
			data = data[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(found, kind, data); n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
	}
	return nil
}

func (t *tidings) readRequest() *tidingsv1.ReadRequest {
	return &tidingsv1.ReadRequest{
		Topic: t.topic,
		Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}},
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	}
}

// readTyped reads what was written last with the generated client.
func (t *tidings) readTyped(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	stream, err := tidingsv1.NewReaderServiceClient(t.conn).Read(ctx, t.readRequest())
	if err != nil {
		return 0, err
	}
	read := 0
	for {
		response, err := stream.Recv()
		if err != nil {
			return time.Since(begun), t.expectRead(endOfStream(err), read)
		}
		read += len(response.GetEvents().GetEvents())
	}
}

func (t *tidings) expectRead(err error, read int) error {
	if err == nil && read != len(t.data.events) {
		return fmt.Errorf("tidings gave %d events of %d", read, len(t.data.events))
	}
	return err
}

// publisher returns a call that stores the event with a number and waits.
func (t *tidings) publisher(ctx context.Context) (call func(number int) error, end func() error, err error) {
	topic, err := t.newTopic(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	client := tidingsv1.NewPublisherServiceClient(t.conn)
	call = func(number int) error {
		response, err := client.Publish(ctx, &tidingsv1.PublishRequest{Topic: topic, Events: t.data.events[number : number+1]})
		if err == nil && (len(response.GetReceipts()) != 1 || response.GetReceipts()[0].GetDuplicate()) {
			err = fmt.Errorf("event %d was not stored: %v", number, response)
		}
		return err
	}
	return call, func() error { return t.deleteTopic(ctx, topic) }, nil
}

func (t *tidings) deleteTopic(ctx context.Context, name string) error {
	_, err := tidingsv1.NewTopicServiceClient(t.conn).DeleteTopic(ctx, &tidingsv1.DeleteTopicRequest{Name: name})
	return err
}
