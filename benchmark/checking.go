package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	ordersv1 "example.com/tidings/examples/events/gen/shop/orders/v1"
	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// A server always checks. What checking costs is seen by types that leave it
// less to do, which it is given besides those of the example: the orders
// without their rules, and an order that is bytes to it, with and without the
// partition key that the others have. Their names are as long as makes the
// events the same size.
const (
	barePackage = "bare.orders.v1"
	bareOrder   = barePackage + ".OrderPlaced"
	keyedOrder  = barePackage + ".KeyedData"
	bytesOrder  = barePackage + ".OrderData"
)

// checkedLess are the batches of a data set as events of those types, encoded,
// without a topic.
type checkedLess struct {
	bare  [][]byte
	keyed [][]byte
	bytes [][]byte
}

func newCheckedLess(d *dataset) (*checkedLess, error) {
	bare, err := d.encodedAs(bareOrder, func(order []byte) []byte { return order })
	if err != nil {
		return nil, err
	}
	keyed, err := d.encodedAs(keyedOrder, asKeyed)
	if err != nil {
		return nil, err
	}
	bytes, err := d.encodedAs(bytesOrder, func(order []byte) []byte { return asBytes(nil, 1, order) })
	return &checkedLess{bare, keyed, bytes}, err
}

// asKeyed leaves the first field of an order, its key, as it is and makes bytes
// of the others.
func asKeyed(order []byte) []byte {
	_, _, key := protowire.ConsumeField(order)
	key = max(key, 0)
	return asBytes(slices.Clone(order[:key]), 2, order[key:])
}

func asBytes(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func typeURL(name string) string { return "type.googleapis.com/" + name }

// encodedAs encodes the batches with payloads of another type, made of the encoded
// orders.
func (d *dataset) encodedAs(typeName string, value func(order []byte) []byte) (requests [][]byte, err error) {
	for events := range slices.Chunk(d.events, d.batch) {
		request := new(tidingsv1.PublishRequest)
		for _, event := range events {
			request.Events = append(request.Events, &tidingsv1.Event{
				Id: event.GetId(), Source: event.GetSource(), Subject: event.GetSubject(),
				Data: &anypb.Any{TypeUrl: typeURL(typeName), Value: value(event.GetData().GetValue())},
			})
		}
		encoded, err := proto.Marshal(request)
		if err != nil {
			return nil, err
		}
		requests = append(requests, encoded)
	}
	return requests, nil
}

// writeSchemas writes a file for the server's flag --schemas.
func writeSchemas(dir string) (path string, err error) {
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{bareFile()}}
	for _, file := range []protoreflect.FileDescriptor{ordersv1.File_shop_orders_v1_order_proto, ordersv1.File_shop_orders_v1_events_proto} {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	encoded, err := proto.Marshal(set)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "schemas.binpb")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return "", fmt.Errorf("schemas: %w", err)
	}
	return path, nil
}

// bareFile declares the types. The bare order keeps its partition key.
func bareFile() *descriptorpb.FileDescriptorProto {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: new(name), JsonName: new(name), Number: new(number), Type: kind.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	keyed := new(descriptorpb.MessageOptions)
	proto.SetExtension(keyed, optionsv1.E_Event, &optionsv1.EventOptions{Topic: "orders", Key: "key"})
	file := &descriptorpb.FileDescriptorProto{
		Name: new("bare/orders/v1/orders.proto"), Package: new(barePackage), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/timestamp.proto", "tidings/options/v1/options.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{
			Name:  new("OrderData"),
			Field: []*descriptorpb.FieldDescriptorProto{field("data", 1, descriptorpb.FieldDescriptorProto_TYPE_BYTES)},
		}, {
			Name: new("KeyedData"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("key", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("data", 2, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
			},
			Options: keyed,
		}},
	}
	for _, message := range []protoreflect.ProtoMessage{new(ordersv1.OrderPlaced), new(ordersv1.OrderItem), new(ordersv1.Money)} {
		declared := protodesc.ToDescriptorProto(message.ProtoReflect().Descriptor())
		event := proto.GetExtension(declared.GetOptions(), optionsv1.E_Event)
		declared.Options = nil
		if option, ok := event.(*optionsv1.EventOptions); ok && option != nil {
			declared.Options = new(descriptorpb.MessageOptions)
			proto.SetExtension(declared.GetOptions(), optionsv1.E_Event, option)
		}
		for _, field := range declared.GetField() {
			field.Options = nil
			if name, ok := strings.CutPrefix(field.GetTypeName(), ".shop.orders.v1."); ok {
				field.TypeName = new("." + barePackage + "." + name)
			}
		}
		file.MessageType = append(file.MessageType, declared)
	}
	return file
}
