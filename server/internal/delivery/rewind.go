package delivery

import (
	"context"
	"errors"
	"time"

	"example.com/tidings/server/internal/engine"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// rewind goes back to the end of the topic where the position is beyond it: the
// storage has lost events, and their sequences will be those of others.
func (o *owner) rewind(ctx context.Context) error {
	if o.topic == nil {
		return nil
	}
	state, err := o.hub.engine.State(ctx, o.topic)
	if errors.Is(err, engine.ErrTopicNotFound) {
		return nil
	}
	position := o.machine.Position()
	// A start in the future that a client has asked for has delivered nothing.
	if err != nil || position <= state.End || position <= o.machine.Started() {
		return err
	}
	o.log.Error("the topic has lost events that were delivered: going back to its end", "topic", o.topic.Name, "position", position, "end", state.End)
	o.machine.Rewind(state.End, &tidingsv1.Gap{FirstSequence: state.End, NextSequence: position}, time.Now().UnixMilli())
	return o.journal.compact(o.machine)
}
