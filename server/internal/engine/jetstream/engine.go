// Package engine keeps topics, their records and subscriptions in NATS
// JetStream, embedded in the process or outside it; the same code drives both.
//
// A topic is a stream and an entry in a key-value bucket, which holds its
// configuration. A record is a message of the stream. A subscription is an
// entry in another bucket, a stream for its journal and one for its dead
// letters. What records, journals and dead letters contain is their caller's
// affair.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	storagev1 "example.com/tidings/gen/go/tidings/storage/v1"
)

// Every error of this package wraps one of these, or is a context's.
var (
	// ErrUnavailable: JetStream didn't answer, or can't just now. Whether an
	// append took effect is not known.
	ErrUnavailable = errors.New("the storage is unavailable")
	// ErrFull: a limit of the storage is reached. Nothing was stored.
	ErrFull = errors.New("the storage is full")
	// ErrTopicNotFound: there is no such topic.
	ErrTopicNotFound = errors.New("the topic doesn't exist")
	// ErrTopicExists: there is such a topic.
	ErrTopicExists = errors.New("the topic exists")
	// ErrSubscriptionNotFound: there is no such subscription.
	ErrSubscriptionNotFound = errors.New("the subscription doesn't exist")
	// ErrSubscriptionExists: there is such a subscription.
	ErrSubscriptionExists = errors.New("the subscription exists")
	// ErrRevision: the topic or subscription has another revision, or there are
	// more schemas.
	ErrRevision = errors.New("it has been changed")
	// ErrRecordNotFound: there is no record with this sequence.
	ErrRecordNotFound = errors.New("the record doesn't exist")
	// ErrDuplicate: an identity of an atomic append is taken.
	ErrDuplicate = errors.New("an identity is taken")
	// ErrSequence: the expected last sequence isn't the last one.
	ErrSequence = errors.New("the last sequence is another")
	// ErrTooLarge: the record is larger than MaxRecordBytes.
	ErrTooLarge = errors.New("the record is too large")
)

// Sync is what an append waits for.
type Sync string

const (
	// SyncWritten: the record is handed to the operating system.
	SyncWritten Sync = "written"
	// SyncFsync: the record is on the disk. Embedded JetStream only.
	SyncFsync Sync = "fsync"
)

// Config says where JetStream is.
type Config struct {
	// DataDir is the directory of the embedded JetStream.
	DataDir string
	// MaxStoreBytes bounds what the embedded JetStream stores. 0: three
	// quarters of what is free on the volume of DataDir when it is opened.
	MaxStoreBytes int64
	// MaxRecordBytes bounds a record of the embedded JetStream. An outside one
	// has a bound of its own (max_payload).
	MaxRecordBytes int
	// Sync is what an append waits for. With an outside JetStream: SyncWritten.
	Sync Sync
	// URL is the address of an outside NATS server. Empty: embedded.
	URL string
	// Credentials is a file of NATS credentials for URL. Empty: none.
	Credentials string
	// Replicas is the number of replicas of each stream of an outside
	// JetStream. 0 is 1.
	Replicas int
	// Log takes what NATS says. Required.
	Log *slog.Logger
}

// Engine is an open JetStream. It is safe for concurrent use.
type Engine struct {
	log      *slog.Logger
	replicas int
	embedded *server.Server // nil with an outside JetStream.
	lock     *dirLock       // Holds the data directory of the embedded one.
	conn     *nats.Conn
	js       jetstream.JetStream
	topics   *registry[*storagev1.TopicConfig]
	// subscriptions are the subscriptions.
	subscriptions *registry[*storagev1.SubscriptionConfig]
	schemas       *schemas
	syncer        *syncer // nil unless appends wait for the disk.
	atomics       chan struct{}
}

const (
	openTimeout = 30 * time.Second
	// callTimeout bounds a call to JetStream whose context has no deadline.
	callTimeout = 10 * time.Second
	// reconnectWait is the time between attempts to reach a NATS that is gone.
	reconnectWait = 500 * time.Millisecond
	// maxInFlight bounds the appends that wait for an answer: JetStream drops
	// messages of a stream past 100,000.
	maxInFlight = 4096
	// maxAtomics bounds the atomic appends under way: JetStream refuses more
	// than 50 of a stream.
	maxAtomics = 32
	// headerBytes is allowed for the headers of a message.
	headerBytes = 1024
)

// Open starts or connects to JetStream and brings every topic's stream in line
// with its configuration.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	e := &Engine{log: cfg.Log, replicas: max(cfg.Replicas, 1), atomics: make(chan struct{}, maxAtomics)}
	if err := e.open(ctx, cfg); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context, cfg Config) (err error) {
	options := []nats.Option{
		nats.Name("tidings"),
		nats.MaxReconnects(-1),
		// What can't be sent now fails now: its caller knows best whether to
		// send it again.
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait),
		nats.Timeout(callTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			e.log.Warn("nats connection", "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				e.log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { e.log.Info("nats connected again") }),
	}
	url := cfg.URL
	if url == "" {
		if e.lock, err = lockDir(cfg.DataDir); err != nil {
			return err
		}
		if e.embedded, err = startEmbedded(ctx, cfg); err != nil {
			return err
		}
		options = append(options, nats.InProcessServer(e.embedded))
		if cfg.Sync == SyncFsync && groupSync { // Else JetStream flushes each append.
			if e.syncer, err = newSyncer(cfg.DataDir); err != nil {
				return err
			}
		}
	} else if cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(cfg.Credentials))
	}
	if e.conn, err = nats.Connect(url, options...); err != nil {
		// The address may hold a password.
		return fmt.Errorf("%w: connecting to NATS: %w", ErrUnavailable, err)
	}
	e.js, err = jetstream.New(e.conn,
		jetstream.WithPublishAsyncMaxPending(maxInFlight),
		jetstream.WithPublishAsyncTimeout(callTimeout),
		jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if e.topics, err = openTopics(ctx, e); err != nil {
		return err
	}
	if e.subscriptions, err = openSubscriptions(ctx, e); err != nil {
		return err
	}
	e.schemas, err = openSchemas(ctx, e)
	return err
}

// MaxRecordBytes is the size of the largest record that JetStream takes.
func (e *Engine) MaxRecordBytes() int {
	return int(e.conn.MaxPayload()) - headerBytes
}

// Ready returns an error that wraps ErrUnavailable unless JetStream answers.
func (e *Engine) Ready(ctx context.Context) error {
	if _, err := e.js.AccountInfo(ctx); err != nil {
		return translate(err)
	}
	return nil
}

// Close waits for the appends under way, closes the connection and stops an
// embedded JetStream. Nothing may be called after it.
func (e *Engine) Close() {
	if e.schemas != nil {
		e.schemas.entries.close()
	}
	if e.subscriptions != nil {
		e.subscriptions.entries.close()
	}
	if e.topics != nil {
		e.topics.entries.close()
	}
	if e.js != nil {
		select {
		case <-e.js.PublishAsyncComplete():
		case <-time.After(callTimeout):
		}
	}
	if e.conn != nil {
		e.conn.Close()
	}
	if e.embedded != nil {
		e.embedded.Shutdown()
		e.embedded.WaitForShutdown()
	}
	if e.syncer != nil {
		e.syncer.close()
	}
	if e.lock != nil {
		e.lock.close()
	}
}

// JetStream's codes for the errors that a caller can act upon.
const (
	codeInsufficientResources  = 10023
	codeStreamNotFound         = 10059
	codeWrongLastSequence      = 10071
	codeStorageExceeded        = 10047
	codeMemoryExceeded         = 10028
	codeMessageNotFound        = 10037
	codeWrongLastMessageID     = 10070
	codeAtomicDuplicate        = 10201
	codeNoSpaceForAccount      = 10002
	codeMessageExceedsMaximum  = 10054
	codeWrongLastSequenceConst = 10164
)

// translate wraps an error of NATS in one of this package's.
func translate(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: %w", ErrTopicNotFound, err)
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return fmt.Errorf("%w: %w", ErrRecordNotFound, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.As(err, &api):
		return fmt.Errorf("%w: %w", apiError(api), err)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

func apiError(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case codeStreamNotFound:
		return ErrTopicNotFound
	case codeMessageNotFound:
		return ErrRecordNotFound
	case codeWrongLastSequence, codeWrongLastSequenceConst, codeWrongLastMessageID:
		return ErrSequence
	case codeAtomicDuplicate:
		return ErrDuplicate
	case codeMessageExceedsMaximum:
		return ErrTooLarge
	case codeInsufficientResources, codeStorageExceeded, codeMemoryExceeded, codeNoSpaceForAccount:
		return ErrFull
	default:
		return ErrUnavailable
	}
}
