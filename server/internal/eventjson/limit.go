package eventjson

import (
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/guard"
)

const (
	// maxDepth is how deep messages nest in a payload, and Any in one another.
	maxDepth = 100
	// maxHeld is how many Any a message may have beside its payloads before they
	// are looked at one by one, and maxHeldBytes what they may hold together.
	maxHeld      = 100
	maxHeldBytes = 64 << 20
)

// limited bounds what nested Any cost: protobuf decodes each of them while those
// around it are held, so that memory is quadratic in how deep they nest.
type limited struct {
	Resolver

	left *int
}

var errHeld = errors.New("too many Any in one another")

// newLimited limits what the payloads of a message may hold, which are so many
// and so large.
func newLimited(types Resolver, payloads, size int) limited {
	left := payloads + min(maxHeld, maxHeldBytes/(size+1))
	return limited{types, &left}
}

// payloadsOf returns how many payloads a message holds, and how large they are.
func payloadsOf(message proto.Message) (count, size int) {
	each(message, func(event *tidingsv1.Event) {
		count++
		size += len(event.GetData().GetValue())
	})
	return count, size
}

func (l limited) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	*l.left--
	if *l.left < 0 {
		return nil, errHeld
	}
	return l.Resolver.FindMessageByURL(url)
}

// shows reports whether a payload has a JSON form.
func shows(data *anypb.Any, types Resolver) bool {
	limit := newLimited(types, 1, len(data.GetValue()))
	_, err := marshal(nil, data, limit)
	if *limit.left >= 0 || !shallow(data, types) {
		return err == nil
	}
	_, err = marshal(nil, data, types)
	return err == nil
}

// shallow reports whether the Any in a payload nest no deeper than maxDepth.
func shallow(data *anypb.Any, types Resolver) bool {
	err := guard.Do(func() error { return descend(data.ProtoReflect(), types, maxDepth) })
	return err == nil
}

// descend returns an error where an Any nests deeper than left, or its content
// can't be decoded.
func descend(data protoreflect.Message, types Resolver, left int) error {
	if left == 0 {
		return errHeld
	}
	fields := data.Descriptor().Fields()
	url := data.Get(fields.ByNumber(1)).String()
	if url == "" {
		return nil
	}
	found, err := types.FindMessageByURL(url)
	if err != nil {
		return err
	}
	content := found.New()
	options := proto.UnmarshalOptions{AllowPartial: true, Resolver: types, RecursionLimit: maxDepth}
	if err := options.Unmarshal(data.Get(fields.ByNumber(2)).Bytes(), content.Interface()); err != nil {
		return err
	}
	return descendAll(content, types, left-1)
}

// descendAll descends into every Any of a message.
func descendAll(message protoreflect.Message, types Resolver, left int) (err error) {
	if message.Descriptor().FullName() == "google.protobuf.Any" {
		return descend(message, types, left)
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				err = descendAll(value.Message(), types, left)
				return err == nil
			})
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				if err = descendAll(value.List().Get(i).Message(), types, left); err != nil {
					break
				}
			}
		case !field.IsMap() && field.Message() != nil:
			err = descendAll(value.Message(), types, left)
		}
		return err == nil
	})
	return err
}
