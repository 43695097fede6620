package delivery

import "example.com/tidings/server/internal/guard"

// reply is the response to a call.
type reply struct {
	call     *call
	response *response
}

func (r reply) send() { r.call.reply(r.response) }

// outbox holds the replies of a turn until the journal is written: what they say
// doesn't count before.
type outbox struct {
	replies  []reply
	backlogs []backlog // To be looked for then.
}

// reply replies to a call once the journal is written.
func (b *outbox) reply(c *call, r *response) {
	b.replies = append(b.replies, reply{c, r})
}

// refuse is reply, with one of ownerErrors.
func (b *outbox) refuse(c *call, err error) { b.reply(c, &response{err: err}) }

// empty reports whether nobody waits for the journal.
func (b *outbox) empty() bool { return len(b.replies)+len(b.backlogs) == 0 }

// sendReplies sends what doesn't have to look for a backlog.
func (b *outbox) sendReplies() {
	for _, r := range b.replies {
		r.send()
	}
	clear(b.replies)
	b.replies = b.replies[:0]
}

// send sends everything: what looks for a backlog in goroutines of the group.
func (b *outbox) send(group *guard.Group) {
	b.sendReplies()
	for _, backlog := range b.backlogs {
		group.Go(backlog.run, backlog.failed)
	}
	b.backlogs = nil
}

// refuseAll refuses what wasn't sent.
func (b *outbox) refuseAll(err error) {
	for _, r := range b.replies {
		r.call.refuse(err)
	}
	for _, backlog := range b.backlogs {
		backlog.reply.call.refuse(err)
	}
}
