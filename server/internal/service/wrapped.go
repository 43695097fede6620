package service

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/eventwire"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// unwrap returns the encoded PublishRequest that a PublishStreamRequest holds, or
// nil, and its stop_on_error. An ImportRequest is the same without it. As in parseBatch,
// nearly every message is plainly in order, and any other takes the way through
// the generated code.
func unwrap(data []byte) (publish []byte, stopOnError bool, err error) {
	var seen uint
	plain := eventwire.Scan(data, func(number protowire.Number, varint uint64, value []byte) bool {
		if number > 2 || seen&(1<<number) != 0 {
			return false
		}
		seen |= 1 << number
		if number == 1 {
			publish = value
			return value != nil
		}
		stopOnError = varint != 0
		return value == nil
	})
	if plain && publish != nil {
		return publish, stopOnError, nil
	}
	request := new(tidingsv1.PublishStreamRequest)
	if err := proto.Unmarshal(data, request); err != nil {
		return nil, false, undecodable(err)
	}
	if request.GetPublish() == nil {
		return nil, request.GetStopOnError(), nil
	}
	publish, err = proto.MarshalOptions{Deterministic: true}.Marshal(request.GetPublish())
	return publish, request.GetStopOnError(), err
}

// parsePublish is parseBatch for what unwrap returned.
func parsePublish(publish []byte, into *batch, base int64) error {
	if publish == nil {
		return CheckRequest(new(tidingsv1.PublishStreamRequest))
	}
	return parseBatch(publish, into, base)
}
