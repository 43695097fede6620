package cli

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// payloadType is an event type as the server has it.
type payloadType struct {
	eventType *tidingsv1.EventType
	message   protoreflect.MessageType
	types     *dynamicpb.Types // Everything that the message's file reaches.
}

// payloadTypes fetches event types from the server, each once. The types that
// happen to be compiled into this binary are not asked: the server may have
// newer ones. Not safe for concurrent use.
type payloadTypes struct {
	schemas tidingsv1connect.SchemaServiceClient
	known   map[string]*payloadType
	unknown map[string]error // The server's refusal.
}

func newPayloadTypes(c *client) *payloadTypes {
	return &payloadTypes{
		schemas: c.schemas,
		known:   make(map[string]*payloadType),
		unknown: make(map[string]error),
	}
}

// get returns the type of this full name, or the error of GetEventType.
func (t *payloadTypes) get(ctx context.Context, name string) (*payloadType, error) {
	if known, ok := t.known[name]; ok {
		return known, nil
	}
	if err, ok := t.unknown[name]; ok {
		return nil, err
	}
	response, err := t.schemas.GetEventType(ctx, &tidingsv1.GetEventTypeRequest{Name: name})
	if err != nil {
		if connect.IsWireError(err) && (connect.CodeOf(err) == connect.CodeNotFound || connect.CodeOf(err) == connect.CodeInvalidArgument) {
			t.unknown[name] = err
		}
		return nil, err
	}
	fetched, err := newPayloadType(response)
	if err != nil {
		return nil, fmt.Errorf("event type %s as the server describes it: %w", name, err)
	}
	t.known[name] = fetched
	return fetched, nil
}

func newPayloadType(response *tidingsv1.GetEventTypeResponse) (*payloadType, error) {
	files, err := protodesc.NewFiles(response.GetFileDescriptorSet())
	if err != nil {
		return nil, err
	}
	types := dynamicpb.NewTypes(files)
	message, err := types.FindMessageByName(protoreflect.FullName(response.GetEventType().GetName()))
	if err != nil {
		return nil, err
	}
	return &payloadType{response.GetEventType(), message, types}, nil
}

// typeName returns the full name of the message that a type URL names.
func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// resolver makes the types available to one conversion from or to JSON. It
// holds the conversion's context, because the interface that it implements has
// no place for one. It doesn't outlive the conversion.
type resolver struct {
	ctx   context.Context //nolint:containedctx // See above.
	types *payloadTypes
	// name and err tell what couldn't be resolved and why: the conversion
	// reports it as text only.
	name string
	err  error
}

func (r *resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(typeName(url)))
}

func (r *resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	t, err := r.types.get(r.ctx, string(name))
	if err != nil {
		// That a type couldn't be fetched isn't forgotten over one that there isn't.
		if r.err == nil || r.types.unknown[r.name] != nil {
			r.name, r.err = string(name), err
		}
		return nil, err
	}
	return t.message, nil
}

func (r *resolver) FindExtensionByName(name protoreflect.FullName) (protoreflect.ExtensionType, error) {
	for _, t := range r.types.known {
		if extension, err := t.types.FindExtensionByName(name); err == nil {
			return extension, nil
		}
	}
	return nil, protoregistry.NotFound
}

func (r *resolver) FindExtensionByNumber(message protoreflect.FullName, number protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	for _, t := range r.types.known {
		if extension, err := t.types.FindExtensionByNumber(message, number); err == nil {
			return extension, nil
		}
	}
	return nil, protoregistry.NotFound
}
