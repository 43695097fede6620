package delivery

import (
	"context"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/guard"

	replicav1 "example.com/tidings/server/internal/gen/tidings/replica/v1"
)

// mailboxSize is how many calls may wait for an owner.
const mailboxSize = 1024

// mailbox brings calls to an owner.
type mailbox struct {
	calls chan *call
	ended chan struct{} // Closed when nothing more is taken from calls.
}

func newMailbox() mailbox {
	return mailbox{calls: make(chan *call, mailboxSize), ended: make(chan struct{})}
}

// call calls the owner and waits for the response, ErrUnavailable or the
// context's error.
func (m *mailbox) call(ctx context.Context, r request) (*response, error) {
	replied := make(chan *response, 1)
	c := &call{ctx: ctx, request: r, reply: func(r *response) { replied <- r }}
	select {
	case m.calls <- c:
	case <-m.ended:
		return nil, ErrUnavailable
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case response := <-replied:
		return response, nil
	case <-m.ended:
		select {
		case response := <-replied: // Both at once.
			return response, nil
		default:
			return nil, ErrUnavailable
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// receive takes a request of another server. A ping is replied to at once,
// whatever the owner waits for.
func (o *owner) receive(encoded []byte, reply func([]byte)) {
	message := new(replicav1.OwnerRequest)
	err := guard.Do(func() error { return proto.Unmarshal(encoded, message) })
	if err != nil {
		o.log.Warn("request of another server", "error", err)
		return // It gives up by itself.
	}
	c := &call{ctx: context.Background(), request: decodeRequest(message), reply: func(r *response) {
		encoded, err := proto.Marshal(r.encode())
		if err != nil {
			o.log.Error("response to another server", "error", err)
			return
		}
		reply(encoded)
	}}
	if message.GetPing() != nil {
		select {
		case <-o.mailbox.ended:
			c.refuse(ErrUnavailable)
		default:
			c.reply(&response{owner: o.name})
		}
		return
	}
	o.mailbox.put(c)
}

// put adds a call, and refuses it where the mailbox is closed.
func (m *mailbox) put(c *call) {
	select {
	case m.calls <- c:
	case <-m.ended:
		c.refuse(ErrUnavailable)
	}
	select {
	case <-m.ended:
		m.refuse(ErrUnavailable) // It may have come after close looked.
	default:
	}
}

// close refuses all calls that are there, and those that still come.
func (m *mailbox) close() { close(m.ended) }

// refuse refuses the calls that nobody will take any more.
func (m *mailbox) refuse(err error) {
	for {
		select {
		case c := <-m.calls:
			c.refuse(err)
		default:
			return
		}
	}
}
