package schema

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// held is what an Any holds, and where it stands.
type held struct {
	path  []*validate.FieldPathElement
	url   string
	value []byte
	depth int // Of the Any.
}

// hold notes what an Any holds. It isn't decoded here: of Any in Any only one
// is in memory at a time.
func (v *visit) hold(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	h := held{url: m.Get(fields.ByNumber(1)).String(), value: m.Get(fields.ByNumber(2)).Bytes(), depth: depth}
	if h.url != "" || len(h.value) > 0 {
		h.path = v.place()
		v.anys = append(v.anys, h)
	}
}

// lookInto returns what is wrong in the Anys that were found, and in those that
// they hold.
func (v *visit) lookInto() *refusal {
	for i := 0; i < len(v.anys); i++ {
		h := v.anys[i]
		v.anys[i] = held{} // What it holds isn't kept any longer.
		v.base = h.path
		if r := v.inAny(h); r != nil {
			return r
		}
	}
	return nil
}

func (v *visit) inAny(h held) *refusal {
	message, wrong := v.shared.messageOf(h.url)
	if wrong != "" {
		return v.refuse(readableRule, wrong)
	}
	if r := v.shared.inspect(message, h.value, MaxDepth-h.depth); r != nil {
		if r.rule == "" { // The payload itself is an encoding of its type.
			r.rule, r.message = readableRule, fmt.Sprintf("not an encoding of %s: %s", message.FullName(), r.message)
		}
		r.path = append(r.path, v.place()...)
		return r
	}
	inner, err := v.shared.decode(message, h.value)
	if err != nil {
		return v.refuse(readableRule, fmt.Sprintf("not an encoding of %s", message.FullName()))
	}
	return v.message(v.shared.walkOf(message), inner, h.depth+1)
}

// messageOf returns the message that a type URL names, or what is wrong with it.
func (s *shared) messageOf(url string) (message protoreflect.MessageDescriptor, wrong string) {
	if !strings.Contains(url, "/") { // Then the libraries of some languages find no name in it.
		return nil, fmt.Sprintf("%q is not a type URL: must end in a slash and the full name of a message, as %sshop.orders.v1.OrderPlaced does", url, urlPrefix)
	}
	t, err := s.types.FindMessageByURL(url)
	if err != nil {
		if t, err = protoregistry.GlobalTypes.FindMessageByURL(url); err != nil {
			return nil, fmt.Sprintf("unknown type %q", url)
		}
	}
	return t.Descriptor(), ""
}
