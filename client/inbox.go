package client

import "context"

// Inbox records which events were handled, in the database in which their handlers
// work. A subscription delivers at least once: a consumer that ends between its work
// and its ack gets the event again, and so may another. See [Once].
type Inbox interface {
	// Do calls handle once for an event, however often it is delivered. It begins a
	// transaction, inserts source and id, the identity of the event, into a table with
	// a unique index over both, and calls handle with a context that carries the
	// transaction. Then it commits. Where source and id are in the table already it
	// returns nil and doesn't call handle. Where handle fails or panics it rolls back:
	// the event is delivered again. The error of handle is returned as it is or
	// wrapped, since it says how the event is settled.
	//
	// The insert makes a second delivery that is handled at the same time wait for the
	// first transaction, so at most one of them commits.
	Do(ctx context.Context, source, id string, handle func(ctx context.Context) error) error
}

// Once returns a handler whose effects happen once for an event, as far as they are in
// the inbox's transaction, which the function finds in its context. What it does
// elsewhere, such as a call of another service, may still happen more than once.
func Once(inbox Inbox, handler Handler) Handler {
	return Handler{handler.event, func(ctx context.Context, delivery *Delivery) error {
		event := delivery.GetRecorded().GetEvent()
		return inbox.Do(ctx, event.GetSource(), event.GetId(), func(ctx context.Context) error {
			return handler.handle(ctx, delivery)
		})
	}}
}
