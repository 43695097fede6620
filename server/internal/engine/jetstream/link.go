package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/server/internal/engine"
)

// link is a connection to NATS.
type link struct {
	name string
	conn *nats.Conn
	js   jetstream.JetStream
	home *home
}

const (
	// reconnectWait is the time between attempts to reach a NATS that is gone.
	reconnectWait = 500 * time.Millisecond
	// A NATS server that doesn't answer is left after 4.5 to 6 seconds.
	pingInterval = 1500 * time.Millisecond
	maxPings     = 2
	// ackTimeout is the time in which a message has to be stored. What a leader
	// had in its hands when it went is never answered, and there is another one
	// after some 5 seconds.
	ackTimeout = 5 * time.Second
	// attemptTimeout is the time after which a question is asked again: one that
	// came to a server that no longer leads is never answered.
	attemptTimeout = 2 * time.Second
	// attemptWait is the time between attempts that fail at once.
	attemptWait = 100 * time.Millisecond
)

// connect opens a connection that says in the log what it is for.
func connect(cfg Config, name string) (*link, error) {
	log := cfg.Log.With("connection", name)
	home := newHome(cfg.homeAfter)
	options := []nats.Option{
		nats.Name("tidings " + name),
		nats.MaxReconnects(-1),
		// What can't be sent now fails now: its caller knows best whether to
		// send it again.
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("nats connection", "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			log.Info("nats connected again", "server", conn.ConnectedServerName())
			home.moved()
		}),
		nats.ReconnectToServer(home.choose),
	}
	if cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(cfg.Credentials))
	}
	conn, err := nats.Connect(cfg.URL, options...)
	if err != nil {
		if !unreachable(err) {
			err = lasting{err}
		}
		return nil, err
	}
	js, err := jetstream.New(conn,
		jetstream.WithPublishAsyncMaxPending(2*maxInFlight),
		jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithDefaultTimeout(engine.CallTimeout))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	home.conn, home.host = conn, hostOf(conn)
	return &link{name: name, conn: conn, js: js, home: home}, nil
}

// lasting is an error that another attempt to connect would bring as well.
type lasting struct{ error }

func (l lasting) Unwrap() error { return l.error }

// unreachable reports whether connecting failed because no NATS server took the
// connection, which may be starting.
func unreachable(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF)
}

func (l *link) close() {
	if l == nil {
		return
	}
	close(l.home.closed)
	select {
	case <-l.js.PublishAsyncComplete():
	case <-time.After(engine.CallTimeout):
	}
	l.conn.Close()
}

// connectTimeout bounds an attempt to connect.
const connectTimeout = 5 * time.Second

const apiPrefix = "$JS.API."

// answer is what every response of JetStream has.
type answer struct {
	Error *jetstream.APIError `json:"error"`
}

func (a *answer) failure() error {
	if a.Error == nil {
		return nil // Not a pointer that is nil.
	}
	return a.Error
}

// query sends a request that may be repeated to JetStream and decodes the
// response, until the context ends. It is answered by the leader of what it asks
// about, and so by what is newest.
func (l *link) query(ctx context.Context, subject string, request any, response interface{ failure() error }) error {
	var data []byte
	if request != nil {
		var err error
		if data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		reply, err := l.conn.RequestWithContext(attempt, apiPrefix+subject, data)
		cancel()
		if err == nil {
			if err := json.Unmarshal(reply.Data, response); err != nil {
				return err
			}
			return response.failure()
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(attemptWait):
		}
	}
}

// message is a stored message.
type message struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// which says which message is asked for.
type which struct {
	Sequence uint64     `json:"seq,omitempty"`
	LastOf   string     `json:"last_by_subj,omitempty"`
	NextOf   string     `json:"next_by_subj,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
}

// message returns a message of a stream. JetStream says that there is none by an
// error that translate makes ErrRecordNotFound.
func (l *link) message(ctx context.Context, stream string, w which) (*message, error) {
	var response struct {
		answer
		Message *message `json:"message"`
	}
	if err := l.query(ctx, "STREAM.MSG.GET."+stream, w, &response); err != nil {
		return nil, err
	}
	if response.Message == nil {
		return nil, errors.New("JetStream sent no message")
	}
	return response.Message, nil
}

// info returns how a stream is.
func (l *link) info(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	var response struct {
		answer
		jetstream.StreamInfo
	}
	if err := l.query(ctx, "STREAM.INFO."+stream, nil, &response); err != nil {
		return nil, err
	}
	return &response.StreamInfo, nil
}

// purge says which messages of a stream to delete: those of a subject, or those
// before a sequence, except for so many.
type purge struct {
	Subject string `json:"filter,omitempty"`
	Before  uint64 `json:"seq,omitempty"`
	Keep    uint64 `json:"keep,omitempty"`
}

func (l *link) purge(ctx context.Context, stream string, p purge) error {
	return l.query(ctx, "STREAM.PURGE."+stream, p, new(answer))
}

// request sends a request to JetStream whose answers go to a subject.
func (l *link) request(subject, reply string, request any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return l.conn.PublishRequest(apiPrefix+subject, reply, data)
}
