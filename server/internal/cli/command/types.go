package command

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

// PayloadType is an event type as the server has it.
type PayloadType struct {
	EventType *tidingsv1.EventType
	Message   protoreflect.MessageType
	types     *dynamicpb.Types // Everything that the message's file reaches.
}

// PayloadTypes fetches event types from the server, each once. The types that
// happen to be compiled into this binary are not asked: the server may have
// newer ones. Not safe for concurrent use.
type PayloadTypes struct {
	schemas tidingsv1connect.SchemaServiceClient
	known   map[string]*PayloadType
	unknown map[string]error // The server's refusal.
}

// NewPayloadTypes returns the types of a server. None is fetched yet.
func NewPayloadTypes(c *Client) *PayloadTypes {
	return &PayloadTypes{
		schemas: c.Schemas,
		known:   make(map[string]*PayloadType),
		unknown: make(map[string]error),
	}
}

// Get returns the type of this full name, or the error of GetEventType.
func (t *PayloadTypes) Get(ctx context.Context, name string) (*PayloadType, error) {
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
	fetched, err := NewPayloadType(response)
	if err != nil {
		return nil, fmt.Errorf("event type %s as the server describes it: %w", name, err)
	}
	t.known[name] = fetched
	return fetched, nil
}

// NewPayloadType returns the type that a server has described.
func NewPayloadType(response *tidingsv1.GetEventTypeResponse) (*PayloadType, error) {
	files, err := protodesc.NewFiles(response.GetFileDescriptorSet())
	if err != nil {
		return nil, err
	}
	types := dynamicpb.NewTypes(files)
	message, err := types.FindMessageByName(protoreflect.FullName(response.GetEventType().GetName()))
	if err != nil {
		return nil, err
	}
	return &PayloadType{response.GetEventType(), message, types}, nil
}

// TypeName returns the full name of the message that a type URL names.
func TypeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// resolver makes the types available to one conversion from or to JSON. It
// holds the conversion's context, because the interface that it implements has
// no place for one. It doesn't outlive the conversion.
type resolver struct {
	ctx   context.Context //nolint:containedctx // See above.
	types *PayloadTypes
	// failed is why a type couldn't be resolved: the conversion reports it as
	// text only. nil: none was asked for in vain.
	failed *TypeError
}

// TypeError says that a type couldn't be fetched.
type TypeError struct {
	// Name is the full name of the type.
	Name string
	// Unknown reports whether that is because the server doesn't have it.
	Unknown bool

	err error
}

func (e *TypeError) Error() string { return "fetching the event type " + e.Name + ": " + e.err.Error() }

func (e *TypeError) Unwrap() error { return e.err }

func (r *resolver) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	return r.FindMessageByName(protoreflect.FullName(TypeName(url)))
}

func (r *resolver) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	t, err := r.types.Get(r.ctx, string(name))
	if err != nil {
		// That a type couldn't be fetched isn't forgotten over one that there isn't.
		if r.failed == nil || r.failed.Unknown {
			r.failed = &TypeError{string(name), r.types.unknown[string(name)] != nil, err}
		}
		return nil, err
	}
	return t.Message, nil
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
