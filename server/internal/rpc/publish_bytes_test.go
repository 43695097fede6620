package rpc_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// bytesCodec sends and receives bytes as they are.
type bytesCodec struct{ rawCodec }

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// publishDoors are the ways in for an encoded PublishRequest.
func publishDoors(t *testing.T) map[string]func(request []byte) *tidingsv1.PublishResponse {
	t.Helper()
	decode := func(data []byte, into proto.Message) {
		if err := proto.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	unary := func(request []byte) *tidingsv1.PublishResponse {
		response := new(tidingsv1.PublishResponse)
		if err := dialGRPC(t, shared.grpcAddr).Invoke(testContext(t), publishPath, request, response, grpc.ForceCodecV2(rawCodec{})); err != nil {
			t.Fatal(err)
		}
		return response
	}
	connect := func(request []byte) *tidingsv1.PublishResponse {
		status, answer := post(t, publishPath, "application/proto", bytes.NewReader(request), int64(len(request)))
		if status != http.StatusOK {
			t.Fatalf("%d: %s", status, answer)
		}
		response := new(tidingsv1.PublishResponse)
		decode(answer, response)
		return response
	}
	stream := func(request []byte) *tidingsv1.PublishResponse {
		conn, err := dialGRPC(t, shared.grpcAddr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			"/tidings.v1.PublisherService/PublishStream", grpc.ForceCodecV2(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SendMsg(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), request)); err != nil {
			t.Fatal(err)
		}
		response := new(tidingsv1.PublishStreamResponse)
		if err := conn.RecvMsg(response); err != nil {
			t.Fatal(err)
		}
		if response.GetPublished() == nil {
			t.Fatal(response)
		}
		return response.GetPublished()
	}
	return map[string]func(request []byte) *tidingsv1.PublishResponse{"native": unary, "connect": connect, "stream": stream}
}

// backwards encodes an event with its fields and its attributes in the reverse of
// the order in which generated code has them.
func backwards(t *testing.T, event *tidingsv1.Event) []byte {
	t.Helper()
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	var fields [][]byte
	for len(encoded) > 0 {
		_, _, size := protowire.ConsumeField(encoded)
		fields = append(fields, encoded[:size])
		encoded = encoded[size:]
	}
	slices.Reverse(fields)
	return bytes.Join(fields, nil)
}

// firstFields returns the values of the fields 1 of an encoded message.
func firstFields(t *testing.T, message []byte) (values [][]byte) {
	t.Helper()
	for len(message) > 0 {
		number, wire, tag := protowire.ConsumeTag(message)
		size := protowire.ConsumeFieldValue(number, wire, message[max(tag, 0):])
		if tag < 0 || size < 0 {
			t.Fatalf("not a message: %q", message)
		}
		if number == 1 && wire == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[tag:])
			values = append(values, value)
		}
		message = message[tag+size:]
	}
	return values
}

// storedEvents are the first events of a topic, as many as are asked for, in the
// encoding in which they are stored: that is how Read sends them.
func storedEvents(t *testing.T, topic string, count int) (events [][]byte) {
	t.Helper()
	request, err := proto.Marshal(&tidingsv1.ReadRequest{Topic: topic, Start: fromEarliest})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := dialGRPC(t, shared.grpcAddr).NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true},
		"/tidings.v1.ReaderService/Read", grpc.ForceCodecV2(bytesCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	for len(events) < count {
		var response []byte
		if err := stream.RecvMsg(&response); err != nil {
			t.Fatal(err)
		}
		for _, batch := range firstFields(t, response) { // ReadResponse.events
			for _, recorded := range firstFields(t, batch) { // EventBatch.events
				events = append(events, firstFields(t, recorded)...) // RecordedEvent.event
			}
		}
	}
	return events
}

// Whichever door a request comes through, its events are stored in the encoding
// that they came in, and the same request is a repetition through any other, in
// any encoding that says the same.
func TestPublishKeepsTheBytes(t *testing.T) {
	t.Parallel()
	doors := publishDoors(t)
	for name, publish := range doors {
		for kind, change := range map[string][]func(*tidingsv1.Topic){"by request": nil, "by event": {byEvent}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				topic := newTopic(t, transports()[0].dial(t, shared), change...)
				request := &tidingsv1.PublishRequest{Topic: topic, Events: orders(t, "bytes", 3)}
				asSent := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), topic)
				var sent [][]byte
				for i, event := range request.GetEvents() {
					event.PartitionKey = new(fmt.Sprint("key-", i)) // So that the server has none to add.
					event.Attributes = map[string]string{"a": "1", "b": "2", "c": "3"}
					sent = append(sent, backwards(t, event))
					asSent = protowire.AppendBytes(protowire.AppendTag(asSent, 2, protowire.BytesType), sent[i])
				}
				asGenerated, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(asSent, asGenerated) {
					t.Fatal("there is one encoding only")
				}
				publish(asSent)
				for i, stored := range storedEvents(t, topic, len(sent)) {
					if !bytes.Equal(stored, sent[i]) {
						t.Errorf("stored %q\nwant   %q", stored, sent[i])
					}
				}
				for other, publish := range doors {
					for _, again := range [][]byte{asSent, asGenerated} {
						receipts := publish(again).GetReceipts()
						if fmt.Sprint(sequences(receipts)) != "[1 2 3]" || slices.ContainsFunc(receipts, func(r *tidingsv1.Receipt) bool { return !r.GetDuplicate() }) {
							t.Errorf("again, %s: %v", other, receipts)
						}
					}
				}
			})
		}
	}
}
