package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

const (
	// readyTimeout bounds Ready.
	readyTimeout = 2 * time.Second
	// maxProbed is the number of topics that are tried, beside the buckets.
	maxProbed = 3
)

// Ready implements engine.Engine. Every connection has to bring an answer of some
// stream: one that has no leader just now has none for any server, and is no
// reason to leave this one.
func (e *Engine) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	probed := []probe{{stream: bucketStream(topicsBucket), subject: "$KV." + topicsBucket + ".tidings"}}
	for _, topic := range e.topics.list() {
		if len(probed) > maxProbed {
			break
		}
		probed = append(probed, probe{stream: streamName(topic.Name), subject: subject(topic.Name, "")})
	}
	for _, l := range []*link{e.writes, e.reads, e.asks} {
		if err := l.try(ctx, probed, l == e.writes); err != nil {
			return fmt.Errorf("%w: no answer over the connection for %s: %v", engine.ErrUnavailable, l.name, err) //nolint:errorlint // It is this one alone.
		}
	}
	if e.full() {
		return engine.ErrFull
	}
	return nil
}

// probe is a stream, and a subject of its.
type probe struct{ stream, subject string }

// try waits until the leader of one of the streams has answered.
func (l *link) try(ctx context.Context, probes []probe, write bool) error {
	inbox := l.conn.NewInbox()
	answers, err := l.conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer answers.Unsubscribe() //nolint:errcheck // Then the connection is gone.
	for _, p := range probes {
		if write {
			// JetStream refuses it.
			err = l.conn.PublishMsg(&nats.Msg{Subject: p.subject, Reply: inbox, Header: nats.Header{
				jetstream.ExpectedLastSeqHeader: []string{strconv.FormatInt(never, 10)},
			}})
		} else {
			err = l.request("STREAM.MSG.GET."+p.stream, inbox, which{Sequence: 1})
		}
		if err != nil {
			return err
		}
	}
	for range probes {
		_, err := answers.NextMsgWithContext(ctx)
		if !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
	}
	return nats.ErrNoResponders
}
