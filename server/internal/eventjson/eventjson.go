// Package eventjson reads and writes messages of the contract as JSON, in which
// payloads are shown as what they mean. It has a form for every event that can
// be stored, and says where in a text a mistake is.
package eventjson

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/guard"
)

// Resolver finds the types of payloads and of what they hold.
type Resolver interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// Append appends a message to dst as JSON without white space.
//
// Not every payload that is stored has a JSON form: its type may be gone or may
// have changed since. Such a payload is shown as `{"@type": …, "value": …}`,
// its encoding in base64, and the other events of the message as usual. Without
// types, those are known that are compiled in.
func Append(dst []byte, message proto.Message, types Resolver) ([]byte, error) {
	if types == nil {
		types = protoregistry.GlobalTypes
	}
	count, size := payloadsOf(message)
	limit := newLimited(types, count, size)
	result, err := marshal(dst, message, limit)
	if err == nil {
		return result, nil
	}
	shown, opaque := withOpaque(message, types)
	if len(opaque.urls) == 0 && *limit.left >= 0 {
		return nil, err // It isn't because of a payload, nor of all of them together.
	}
	result, err = marshal(nil, shown, opaque)
	if err != nil {
		return nil, err
	}
	return append(dst, opaque.restore(string(result))...), nil
}

// AppendPayload appends the payload of an event to dst as Append does in a message.
func AppendPayload(dst []byte, data *anypb.Any, types Resolver) ([]byte, error) {
	text, err := Append(nil, &tidingsv1.Event{Data: data}, types)
	text, isFirst := bytes.CutPrefix(text, []byte(`{"data":`))
	if err != nil || !isFirst {
		return nil, err
	}
	return append(dst, text[:len(text)-1]...), nil
}

// marshal appends a message as JSON. Where that panics, as protobuf does on some
// encodings, it is an error.
func marshal(dst []byte, message proto.Message, types Resolver) (result []byte, err error) {
	defer guard.Recover(&err)
	encoded, err := protojson.MarshalOptions{Resolver: types}.Marshal(message)
	if err != nil {
		return nil, err
	}
	// protojson varies its white space; people compare.
	out := bytes.NewBuffer(dst)
	err = json.Compact(out, encoded)
	return out.Bytes(), err
}

// each calls visit with every event that a message of the contract holds.
func each(message proto.Message, visit func(*tidingsv1.Event)) {
	switch message := message.(type) {
	case *tidingsv1.Event:
		visit(message)
	case *tidingsv1.RecordedEvent:
		visit(message.GetEvent())
	case *tidingsv1.Delivery:
		visit(message.GetRecorded().GetEvent())
	case *tidingsv1.DeadLetter:
		visit(message.GetRecorded().GetEvent())
	case *tidingsv1.GetEventResponse:
		visit(message.GetRecorded().GetEvent())
	case *tidingsv1.ReadResponse:
		for _, event := range message.GetEvents().GetEvents() {
			visit(event.GetEvent())
		}
	case *tidingsv1.ConsumeResponse:
		eachDelivered(message.GetDeliveries().GetDeliveries(), visit)
	case *tidingsv1.ReceiveResponse:
		eachDelivered(message.GetDeliveries().GetDeliveries(), visit)
	case *tidingsv1.PullResponse:
		eachDelivered(message.GetDeliveries(), visit)
	case *tidingsv1.ListDeadLettersResponse:
		for _, letter := range message.GetDeadLetters() {
			visit(letter.GetRecorded().GetEvent())
		}
	}
}

func eachDelivered(deliveries []*tidingsv1.Delivery, visit func(*tidingsv1.Event)) {
	for _, delivery := range deliveries {
		visit(delivery.GetRecorded().GetEvent())
	}
}

// opaque resolves the type URLs that stand for payloads that can't be shown to
// bytes, whose JSON form in an Any is the one that is wanted, but for the type.
type opaque struct {
	Resolver

	mark string   // Begins each of them, and nothing else: nobody can guess it.
	urls []string // What they stand for, by their number.
}

// withOpaque returns a copy of a message in which payloads that can't be shown
// are given as they are, and the resolver that goes with it.
func withOpaque(message proto.Message, types Resolver) (proto.Message, *opaque) {
	o := &opaque{Resolver: types, mark: rand.Text() + "/"}
	message = proto.Clone(message)
	each(message, func(event *tidingsv1.Event) {
		data := event.GetData()
		if data == nil || shows(data, types) {
			return
		}
		encoded, err := proto.Marshal(wrapperspb.Bytes(data.GetValue()))
		if err != nil {
			return // Then encoding the message says what is wrong.
		}
		o.urls = append(o.urls, data.GetTypeUrl())
		data.TypeUrl, data.Value = o.mark+strconv.Itoa(len(o.urls)-1), encoded
	})
	return message, o
}

func (o *opaque) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if strings.HasPrefix(url, o.mark) {
		return (*wrapperspb.BytesValue)(nil).ProtoReflect().Type(), nil
	}
	return o.Resolver.FindMessageByURL(url)
}

// restore puts the type URLs back.
func (o *opaque) restore(text string) string {
	pairs := make([]string, 0, 2*len(o.urls))
	for i, url := range o.urls {
		quoted, err := json.Marshal(url)
		if err != nil {
			quoted = []byte(`""`)
		}
		pairs = append(pairs, strconv.Quote(o.mark+strconv.Itoa(i)), string(quoted))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
