package client

import (
	"crypto/rand"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// NewEvent packs a message into an event of a source, a URI-reference such as
// "/checkout". The event has a random id, so that it can be published again and be
// recognised; set another where the program has one. It has no time: set it where it
// is known when the thing happened. An error: the message can't be encoded.
func NewEvent(source string, message proto.Message) (*tidingsv1.Event, error) {
	data, err := anypb.New(message)
	if err != nil {
		return nil, fmt.Errorf("encode the content of an event: %w", err)
	}
	return &tidingsv1.Event{Id: rand.Text(), Source: source, Data: data}, nil
}
