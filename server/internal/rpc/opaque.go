package rpc

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A server that was started without a type which it had before still holds
// events of that type. In JSON their payload can't be shown, so it is given as
// it is: `{"@type": …, "value": …}`, the encoding in base64.

// opaque resolves a type that nobody knows to a message with one field, the
// encoding.
type opaque struct {
	resolver

	made map[string]protoreflect.MessageType // By the full name of the type.
}

// withOpaque returns a copy of a message, in which the payloads of unknown
// types are given as they are, and the resolver that goes with it.
func (r resolver) withOpaque(message proto.Message) (proto.Message, opaque) {
	o := opaque{r, make(map[string]protoreflect.MessageType)}
	message = proto.Clone(message)
	switch message := message.(type) {
	case *tidingsv1.GetEventResponse:
		o.wrap(message.GetEvent())
	case *tidingsv1.ReadResponse:
		for _, event := range message.GetEvents().GetEvents() {
			o.wrap(event)
		}
	case *tidingsv1.ConsumeResponse:
		o.wrapDeliveries(message.GetDeliveries().GetDeliveries())
	case *tidingsv1.ReceiveResponse:
		o.wrapDeliveries(message.GetDeliveries().GetDeliveries())
	case *tidingsv1.PullResponse:
		o.wrapDeliveries(message.GetDeliveries())
	case *tidingsv1.ListDeadLettersResponse:
		for _, letter := range message.GetDeadLetters() {
			o.wrap(letter.GetEvent())
		}
	}
	return message, o
}

func (o opaque) wrapDeliveries(deliveries []*tidingsv1.Delivery) {
	for _, delivery := range deliveries {
		o.wrap(delivery.GetEvent())
	}
}

func (o opaque) wrap(event *tidingsv1.RecordedEvent) {
	data := event.GetEvent().GetData()
	if data == nil {
		return
	}
	if _, err := o.resolver.FindMessageByURL(data.GetTypeUrl()); err == nil {
		return
	}
	name := data.GetTypeUrl()[strings.LastIndexByte(data.GetTypeUrl(), '/')+1:]
	if o.made[name] == nil {
		made, err := opaqueType(protoreflect.FullName(name))
		if err != nil {
			return // Then encoding the message says what is wrong.
		}
		o.made[name] = made
	}
	data.Value = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), data.GetValue())
}

func opaqueType(name protoreflect.FullName) (protoreflect.MessageType, error) {
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name:    new("opaque.proto"),
		Package: new(string(name.Parent())),
		Syntax:  new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new(string(name.Name())),
			Field: []*descriptorpb.FieldDescriptorProto{{
				Name:   new("value"),
				Number: new(int32(1)),
				Label:  descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
				Type:   descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum(),
			}},
		}},
	}, nil)
	if err != nil {
		return nil, err
	}
	return dynamicpb.NewMessageType(file.Messages().Get(0)), nil
}

func (o opaque) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	if made := o.made[string(name)]; made != nil {
		return made, nil
	}
	return o.resolver.FindMessageByName(name)
}

func (o opaque) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return o.FindMessageByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
}
