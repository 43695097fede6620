package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Handler handles the events of a type, or all that no other handler takes. It is
// made by [Handle] or [HandleAny].
type Handler struct {
	event  protoreflect.FullName // Empty: any.
	handle func(ctx context.Context, delivery *Delivery) error
}

// Handle returns a handler of the events of the generated type Event. What the
// function returns settles the event:
//
//   - nil: it is acknowledged.
//   - an error: it is delivered again, by the subscription's retry policy. The error's
//     text is the reason of the nack, which comes with the next attempt and stands in
//     the dead letter.
//   - [RetryAfter], [DeadLetter], [Drop] or [Release], also wrapped: as these say.
//
// A panic is an error, whose stack is logged: the event is retried and the program
// goes on. The function is called by several goroutines where
// ConsumerOptions.Concurrency says so.
//
// Handle panics where Event is an interface such as proto.Message; see [HandleAny].
func Handle[Event proto.Message](handle func(ctx context.Context, event Event, delivery *Delivery) error) Handler {
	var none Event
	if any(none) == nil {
		panic("client.Handle: Event is an interface and not a generated message")
	}
	message := none.ProtoReflect()
	return Handler{message.Descriptor().FullName(), func(ctx context.Context, delivery *Delivery) error {
		event := message.New().Interface()
		if err := proto.Unmarshal(delivery.GetRecorded().GetEvent().GetData().GetValue(), event); err != nil {
			return fmt.Errorf("the payload is no %s: %w", message.Descriptor().FullName(), err)
		}
		return handle(ctx, event.(Event), delivery) //nolint:forcetypeassert // It was made as one.
	}}
}

// HandleAny returns a handler of the events that no other handler takes, of whatever
// type. Their payload is in the event's data: its UnmarshalNew gives a message of its
// type, if the program is linked with it. What the function returns settles the event
// as in [Handle].
func HandleAny(handle func(ctx context.Context, delivery *Delivery) error) Handler {
	return Handler{handle: handle}
}

// route returns the function that calls the handler of a delivery.
func route(handlers []Handler) (func(context.Context, *Delivery) error, error) {
	if len(handlers) == 0 {
		return nil, errors.New("a consumer needs a handler")
	}
	routes := make(map[protoreflect.FullName]func(context.Context, *Delivery) error)
	for _, h := range handlers {
		if h.handle == nil {
			return nil, errors.New("a handler is made by Handle or HandleAny, with a function")
		}
		if routes[h.event] != nil {
			return nil, fmt.Errorf("two handlers of %s", cmp.Or(h.event, "any event"))
		}
		routes[h.event] = h.handle
	}
	return func(ctx context.Context, delivery *Delivery) error {
		typeURL := delivery.GetRecorded().GetEvent().GetData().GetTypeUrl()
		name := protoreflect.FullName(typeURL[strings.LastIndexByte(typeURL, '/')+1:])
		handle := routes[name]
		if handle == nil || name == "" {
			handle = routes[""]
		}
		if handle == nil {
			return fmt.Errorf("no handler takes %s", cmp.Or(name, "an event without a type"))
		}
		return handle(ctx, delivery)
	}, nil
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
