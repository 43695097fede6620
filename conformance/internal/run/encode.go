package run

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/tidings/conformance/internal/match"
)

// encoding is how messages are encoded.
type encoding struct{ json bool }

// encode encodes a request that a case has as JSON.
func (e encoding) encode(request any, descriptor protoreflect.MessageDescriptor, values match.Values) ([]byte, error) {
	expanded, err := values.Expand(request)
	if err != nil {
		return nil, err
	}
	hidden := hide(expanded)
	if hidden && e.json {
		return nil, errors.New("$type and $bytes are for the binary form")
	}
	mask := hideWildcards(expanded)
	text, err := json.Marshal(expanded)
	if err != nil {
		return nil, err
	}
	message, err := newMessage(descriptor)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(text, message); err != nil {
		return nil, err
	}
	if hidden {
		if err := reveal(message); err != nil {
			return nil, err
		}
	}
	switch {
	case e.json && mask != "":
		if text, err = protojson.Marshal(message); err != nil {
			return nil, err
		}
		return revealInJSON(text, mask)
	case e.json:
		return protojson.Marshal(message)
	case mask != "":
		revealWildcards(message)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

// decode returns a response as JSON, with numbers as json.Number and all fields
// there. Fields that this program doesn't know are left out: a newer server may
// send them.
func (e encoding) decode(data []byte, descriptor protoreflect.MessageDescriptor) (map[string]any, error) {
	message, err := newMessage(descriptor)
	if err != nil {
		return nil, err
	}
	if e.json {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
	} else {
		err = proto.Unmarshal(data, message)
	}
	if err != nil {
		return nil, fmt.Errorf("the response is no %s: %w", descriptor.FullName(), err)
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("the response is no readable %s: %w", descriptor.FullName(), err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var decoded map[string]any
	err = decoder.Decode(&decoded)
	return decoded, err
}

func newMessage(descriptor protoreflect.MessageDescriptor) (proto.Message, error) {
	found, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		return nil, err
	}
	return found.New().Interface(), nil
}

// The fields of a payload that is given as what it is: a type, whatever it is,
// and bytes that needn't be an encoding of it.
const (
	opaqueType  = "$type"
	opaqueBytes = "$bytes"
)

// bytesValue is what stands in for such a payload while a request is JSON. No
// case publishes one.
const bytesValue = "type.googleapis.com/google.protobuf.BytesValue"

// hide replaces such payloads in place, and reports whether there are any.
func hide(value any) bool {
	found := false
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			found = hide(element) || found
		}
	case map[string]any:
		if name, ok := value[opaqueType].(string); ok {
			content, _ := value[opaqueBytes].(string)
			clear(value)
			value["@type"], value["value"] = bytesValue, base64.StdEncoding.EncodeToString([]byte(name+"\n"+content))
			return true
		}
		for _, element := range value {
			found = hide(element) || found
		}
	}
	return found
}

// reveal puts the payloads that hide replaced into a message.
func reveal(message proto.Message) error {
	return protorange.Range(message.ProtoReflect(), func(path protopath.Values) error {
		payload, ok := last(path)
		if !ok || payload.GetTypeUrl() != bytesValue {
			return nil
		}
		var stand wrapperspb.BytesValue
		if err := proto.Unmarshal(payload.GetValue(), &stand); err != nil {
			return err
		}
		name, content, _ := bytes.Cut(stand.GetValue(), []byte("\n"))
		decoded, err := base64.StdEncoding.DecodeString(string(content))
		if err != nil {
			return fmt.Errorf("%s: %w", opaqueBytes, err)
		}
		payload.TypeUrl, payload.Value = string(name), decoded
		return protorange.Break
	})
}

func last(path protopath.Values) (*anypb.Any, bool) {
	message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
	if !ok {
		return nil, false
	}
	payload, ok := message.Interface().(*anypb.Any)
	return payload, ok
}
