package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/schema"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// evolvingFile is a file with a message.
func evolvingFile(event *descriptorpb.DescriptorProto) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name: new("evo/v1/evo.proto"), Package: new("evo.v1"), Syntax: new("proto3"), MessageType: []*descriptorpb.DescriptorProto{event},
	}
}

func evolvingField(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
}

// registerEvolving makes the clients of this process take JSON of evo.v1.Event with
// its name, or with its encoding as the value. It is done before any test: the registry
// is locked while it is read, also by calls that read it twice at a time, and a writer
// between the two would wait for them as they do for it.
func registerEvolving() {
	file, err := protodesc.NewFile(evolvingFile(&descriptorpb.DescriptorProto{Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{
		evolvingField("name", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING), evolvingField("value", 9, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
	}}), nil)
	if err == nil {
		err = protoregistry.GlobalTypes.RegisterMessage(dynamicpb.NewMessageType(file.Messages().Get(0)))
	}
	if err != nil {
		panic(err)
	}
}

// evolving is a set with the message evo.v1.Event, whose second field is bytes or,
// later, a map from strings to strings.
func evolving(t *testing.T, later bool) *schema.Set {
	t.Helper()
	const text, binary, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	event := &descriptorpb.DescriptorProto{
		Name:  new("Event"),
		Field: []*descriptorpb.FieldDescriptorProto{evolvingField("name", 1, text), evolvingField("content", 2, binary)},
	}
	if later {
		content := evolvingField("content", 2, message)
		content.TypeName, content.Label = new(".evo.v1.Event.ContentEntry"), descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		event.Field[1] = content
		event.NestedType = []*descriptorpb.DescriptorProto{{
			Name: new("ContentEntry"), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
			Field: []*descriptorpb.FieldDescriptorProto{evolvingField("key", 1, text), evolvingField("value", 2, text)},
		}}
	}
	image, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{evolvingFile(event)}})
	if err != nil {
		t.Fatal(err)
	}
	types, err := schema.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// The contents of the events of the test. To a server whose schemas make a map of
// it, protobuf panics on the second, the third isn't an encoding, and the fourth is
// one of text that isn't UTF-8.
var evolvingContents = []string{"", "\x0a\x01a\x08\x01", "\xff", "\x0a\x01\xff", ""}

// An event that was stored before its schema changed is read over every transport,
// whatever the change made of it, and so are the events around it: such a server
// may be given such schemas at its start.
func TestEventsThatTheirSchemaBreaks(t *testing.T) {
	t.Parallel()
	const topic = "evolving"
	dir, ctx := t.TempDir(), testContext(t)
	before, err := startTypes(ctx, dir, nil, evolving(t, false))
	if err != nil {
		t.Fatal(err)
	}
	c := transports()[0].dial(t, before)
	if _, err := c.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}}); err != nil {
		t.Fatal(err)
	}
	request := &tidingsv1.PublishRequest{Topic: topic}
	for i, content := range evolvingContents {
		payload := "\x0a\x01n"
		if content != "" {
			payload += "\x12" + string(rune(len(content))) + content
		}
		request.Events = append(request.Events, &tidingsv1.Event{Id: fmt.Sprint(i), Source: "/s", Data: &anypb.Any{
			TypeUrl: "type.googleapis.com/evo.v1.Event", Value: []byte(payload),
		}})
	}
	published, err := c.Publish(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	before.close()

	after, err := startTypes(ctx, dir, nil, evolving(t, true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(after.close)
	all := fmt.Sprint(sequences(published.GetReceipts()))
	for _, transport := range transports() {
		t.Run(transport.String(), func(t *testing.T) {
			c := transport.dial(t, after)
			for _, receipt := range published.GetReceipts() {
				got, err := c.GetEvent(ctx, &tidingsv1.GetEventRequest{Topic: topic, Sequence: receipt.GetSequence()})
				if err != nil || got.GetRecorded().GetEvent().GetId() != fmt.Sprint(receipt.GetIndex()) {
					t.Errorf("GetEvent: %v, %v", got, err)
				}
			}
			stream, err := c.read(ctx, &tidingsv1.ReadRequest{Topic: topic, Stop: stopCaughtUp})
			if err != nil {
				t.Fatal(err)
			}
			var read []int64
			for {
				frame, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, event := range frame.GetEvents().GetEvents() {
					read = append(read, event.GetSequence())
				}
			}
			if fmt.Sprint(read) != all {
				t.Errorf("read %v, want %s", read, all)
			}
			for _, use := range []func(*testing.T, client, string, string){receives, deadLetters} {
				name := newSubscription(t, c, topic, func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(time.Minute) })
				use(t, c, name, all)
			}
		})
	}
	if text := after.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "error_id") {
		t.Errorf("the server found itself at fault:\n%s", text)
	}
}

// receives holds that Receive delivers events of these sequences.
func receives(t *testing.T, c client, subscription, want string) {
	t.Helper()
	ctx := testContext(t)
	streaming, stop := context.WithCancel(ctx)
	defer stop()
	stream, err := c.receive(streaming, &tidingsv1.ReceiveRequest{Subscription: subscription})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for len(got) < len(evolvingContents) {
		frame, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, delivery := range frame.GetDeliveries().GetDeliveries() {
			got = append(got, delivery.GetRecorded().GetSequence())
		}
	}
	if fmt.Sprint(got) != want {
		t.Errorf("received %v, want %s", got, want)
	}
}

// deadLetters pulls events of these sequences, makes dead letters of them and lists
// those.
func deadLetters(t *testing.T, c client, subscription, want string) {
	t.Helper()
	ctx := testContext(t)
	var got []int64
	for len(got) < len(evolvingContents) {
		pulled, err := c.Pull(ctx, &tidingsv1.PullRequest{Subscription: subscription, MaxWait: durationpb.New(5 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		var bury []*tidingsv1.Settlement
		for _, delivery := range pulled.GetDeliveries() {
			if delivery.GetAttempt() != 1 {
				t.Errorf("attempt %d of event %d", delivery.GetAttempt(), delivery.GetRecorded().GetSequence())
			}
			got = append(got, delivery.GetRecorded().GetSequence())
			bury = append(bury, &tidingsv1.Settlement{DeliveryToken: delivery.GetDeliveryToken(), Action: &tidingsv1.Settlement_Nack{
				Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER},
			}})
		}
		if _, err := c.Settle(ctx, &tidingsv1.SettleRequest{Subscription: subscription, Settlements: bury}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	if fmt.Sprint(got) != want {
		t.Errorf("pulled %v, want %s", got, want)
	}
	listed, err := c.ListDeadLetters(ctx, &tidingsv1.ListDeadLettersRequest{Subscription: subscription})
	if err != nil || len(listed.GetDeadLetters()) != len(evolvingContents) {
		t.Errorf("listed %v, %v", listed, err)
	}
}

// What was pulled and can't be sent is given back without an attempt.
func TestReleasePulled(t *testing.T) {
	t.Parallel()
	c := transports()[0].dial(t, shared)
	topic := newTopic(t, c)
	publishN(t, c, topic, 3)
	name := newSubscription(t, c, topic)
	for range 3 {
		request := &tidingsv1.PullRequest{Subscription: name, MaxEvents: 3, MaxWait: durationpb.New(5 * time.Second)}
		response, err := shared.service.Pull(testContext(t), request)
		if err != nil || len(response.GetDeliveries()) == 0 {
			t.Fatal(response, err)
		}
		for _, delivery := range response.GetDeliveries() {
			if delivery.GetAttempt() != 1 {
				t.Errorf("attempt %d", delivery.GetAttempt())
			}
		}
		shared.service.Release(testContext(t), request, response)
	}
}
