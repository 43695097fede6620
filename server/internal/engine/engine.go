// Package engine says what the storage of a server does: it keeps topics with
// their events, subscriptions with their journals and dead letters, and the
// schemas. Package local is the one for a single machine, package jetstream the
// one for a cluster, and enginetest the suite that both pass.
//
// What holds for every method, unless it says otherwise:
//
//   - It is safe for concurrent use, may block, and ends with the context's
//     error when the context does. What a change did then isn't known. Without a
//     deadline a call ends by itself, with ErrUnavailable, after CallTimeout.
//   - What it returns is a view of what was there at some moment of the call. A
//     change that has returned without an error is in every later view, of
//     whichever server, and is as durable as the engine promises.
//   - Every error wraps one of those of this package, or is a context's. After
//     ErrUnavailable it isn't known whether a change took effect; after every
//     other error it did not.
//   - Nothing is retried that could take effect twice. Callers retry.
//   - Slices that are passed in belong to the engine until the call returns, or
//     as said; those that are returned belong to everybody, and nobody changes
//     them.
//
// A crash leaves each change done or not done, never half. A change whose call
// didn't return may be either.
package engine

import (
	"context"
	"time"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// CallTimeout bounds a call whose context has no deadline.
const CallTimeout = 10 * time.Second

// MaxBytesUnderWay bounds the data of the appends under way, and so how long one waits
// for those before it: more than a disk takes while it is synced, and a second of a slow
// one.
const MaxBytesUnderWay = 16 << 20

// Engine is an open storage.
type Engine interface {
	Topics
	Records
	Subscriptions
	Schemas
	Owners

	// Features is what this engine can do beyond what every engine can.
	Features() Features
	// MaxRecordBytes is the size of the largest Batch.Data that can be stored.
	MaxRecordBytes() int
	// Ready returns nil where everything works; ErrFull where events can't be
	// stored, but the rest works; a *DamageError where something is damaged, and
	// the rest works; or ErrUnavailable.
	Ready(ctx context.Context) error
	// Status is what is to be shown of the storage. It doesn't block.
	Status() Status
	// Close waits for the appends under way and closes the storage. Nothing may
	// be called after it, or be under way except appends.
	Close()
}

// Features is what an engine may be able to do.
type Features struct {
	// FirstSequence is the sequence of the first event of a topic.
	FirstSequence int64
	// ExactCount: Records.Count is always exact.
	ExactCount bool
	// KeyPreconditions: an Expectation may be about a key in every topic. Else
	// in those with DEDUPE_EVENT alone.
	KeyPreconditions bool
	// ManyPreconditions: a batch may have several expectations.
	ManyPreconditions bool
	// KeyIndex: reading one key costs what that key has, not what the topic has.
	KeyIndex bool
	// OneCommit: Journal.Append stores entries and dead letters together. Else
	// it takes no dead letters.
	OneCommit bool
	// MaxEach is the number of events of a batch in a topic with DEDUPE_EVENT.
	MaxEach int
}

// Status is what is to be shown of a storage. A field that the engine doesn't
// know is 0.
type Status struct {
	// StoredBytes is what the storage takes of the volume, and MaxBytes its
	// bound.
	StoredBytes, MaxBytes int64
	// FreeBytes is what is free on the volume, and Reserve what is kept free of
	// events: below it they are refused.
	FreeBytes, Reserve int64
	// Full says that events are refused.
	Full bool
	// Damages is how often something damaged was found since the start.
	Damages int64
	// Lost is the number of times that acknowledged changes were found to be
	// missing, as a crash of the machine can do with Sync "written", or a
	// restored backup.
	Lost int64
	// Store is the store on this machine. nil: there is none.
	Store *StoreStatus
	// Servers are the NATS servers that connections lead to, by their names.
	Servers []string
	// Connections says of each connection to NATS, by what it is for, whether it is
	// there, and Reconnects how often one was made anew since the start.
	Connections map[string]bool
	Reconnects  int64
	// Replicas is the number of copies of each topic.
	Replicas int
}

// Topics keeps topics.
type Topics interface {
	// Topic returns a topic, or ErrTopicNotFound.
	Topic(ctx context.Context, name string) (*Topic, error)
	// Topics returns every topic, ordered by name, as far as this server knows.
	// It doesn't block.
	Topics() []*Topic
	// CreateTopic creates a topic, or returns ErrTopicExists. It fills the
	// configuration's format, and owns it from then on.
	CreateTopic(ctx context.Context, name string, config *storagev1.TopicConfig) (*Topic, error)
	// UpdateTopic changes the configuration of a topic that is still at the
	// revision of the given one, or returns ErrRevision. It works in a full
	// storage.
	UpdateTopic(ctx context.Context, topic *Topic, config *storagev1.TopicConfig) (*Topic, error)
	// DeleteTopic deletes a topic that is still at the revision of the given
	// one, with its events, or returns ErrRevision. It works in a full storage.
	DeleteTopic(ctx context.Context, topic *Topic) error
	// TopicGone returns a channel that is closed once the topic is deleted, by
	// whichever server. It doesn't block.
	TopicGone(topic *Topic) <-chan struct{}
}

// Subscriptions keeps subscriptions, with their journals and dead letters.
type Subscriptions interface {
	DeadLetters

	// Subscription returns a subscription, or ErrSubscriptionNotFound.
	Subscription(ctx context.Context, name string) (*Subscription, error)
	// SubscriptionAt returns a subscription as it is at a revision or later.
	SubscriptionAt(ctx context.Context, name string, revision uint64) (*Subscription, error)
	// Subscriptions returns every subscription, ordered by name, as far as this
	// server knows. It doesn't block.
	Subscriptions() []*Subscription
	// CreateSubscription creates a subscription, or returns
	// ErrSubscriptionExists. It fills the configuration's format, and owns it
	// from then on.
	CreateSubscription(ctx context.Context, name string, config *storagev1.SubscriptionConfig) (*Subscription, error)
	// UpdateSubscription changes the configuration of a subscription that is
	// still at the revision of the given one, or returns ErrRevision. It works
	// in a full storage.
	UpdateSubscription(ctx context.Context, s *Subscription, config *storagev1.SubscriptionConfig) (*Subscription, error)
	// DeleteSubscription deletes a subscription that is still at the revision
	// of the given one, with its journal and its dead letters, or returns
	// ErrRevision. It works in a full storage.
	DeleteSubscription(ctx context.Context, s *Subscription) error
	// SubscriptionGone returns a channel that is closed once a subscription is
	// deleted, by whichever server. It doesn't block.
	SubscriptionGone(s *Subscription) <-chan struct{}

	// Journal returns the journal of a subscription. It doesn't block.
	Journal(s *Subscription) Journal
}

// DeadLetters keeps the dead letters of subscriptions.
type DeadLetters interface {
	// PutDeadLetters stores dead letters, each in the place of an earlier one of
	// the same event. Repeating it changes nothing.
	PutDeadLetters(ctx context.Context, s *Subscription, letters []DeadLetter) error
	// DeadLetter returns the dead letter of an event, or ErrRecordNotFound.
	DeadLetter(ctx context.Context, s *Subscription, sequence int64) (DeadLetter, error)
	// DeleteDeadLetters deletes the dead letters of events, where there are
	// some. It works in a full storage.
	DeleteDeadLetters(ctx context.Context, s *Subscription, sequences ...int64) error
	// DeadLetterCount is the number of dead letters.
	DeadLetterCount(ctx context.Context, s *Subscription) (uint64, error)
	// ReadDeadLetters calls each with the dead letters from a place among them
	// on, in the order in which they were stored, up to the last that is there
	// when it begins or until each returns false or an error, which is returned.
	// each may change dead letters.
	ReadDeadLetters(ctx context.Context, s *Subscription, from uint64, each func(DeadLetter) (more bool, err error)) error
}

// DeadLetter is the dead letter of an event.
type DeadLetter struct {
	// Sequence is that of the event.
	Sequence int64
	// Data is the dead letter.
	Data []byte
	// Place is its place among the dead letters of its subscription, from 1.
	// One that is stored anew has a later one. PutDeadLetters ignores it.
	Place uint64
}

// Journal is what is written of a subscription. An entry is stored only if it
// follows the last one that its writer knows, so that of two writers only one
// goes on. It is for one goroutine.
type Journal interface {
	// Replay calls each with every entry that is there and hasn't been seen. It
	// returns ErrSubscriptionNotFound, or what each does.
	Replay(ctx context.Context, each func(entry []byte) error) error
	// Append stores 1 to MaxEntries entries, together or not at all. It returns
	// ErrSequence where another writer has written since the last Replay, or
	// ErrSubscriptionNotFound. It works in a full storage. letters are put, and
	// those of gone deleted, with the entries: where Features().OneCommit is false there
	// have to be none.
	Append(ctx context.Context, entries [][]byte, letters []DeadLetter, gone []int64) error
	// Check returns ErrSequence where another writer has written since the last
	// entry that this one knows, or ErrSubscriptionNotFound.
	Check(ctx context.Context) error
	// Compact stores entries, at most MaxEntries, together or not at all, and
	// removes all that were before them. Its errors are Append's. Where it fails
	// after the entries are stored, the older ones stay until the next time.
	Compact(ctx context.Context, entries [][]byte) error
}

// MaxEntries is the number of entries that a journal can be given at once.
const MaxEntries = 1000

// Schemas keeps the schemas.
type Schemas interface {
	// SchemaBase returns what SetSchemaBase stored last, by whichever server, as
	// far as this one knows, or nil. It doesn't block.
	SchemaBase() *storagev1.SchemaRevision
	// SetSchemaBase stores the schemas that a server was started with, in the
	// place of those before. It fills format. It may return ErrTooLarge.
	SetSchemaBase(ctx context.Context, base *storagev1.SchemaRevision) error
	// SchemaRevisions returns the registered schemas, the oldest first, as far as
	// this server knows, and a channel that is closed once there are more. It
	// doesn't block.
	SchemaRevisions() (list []*storagev1.SchemaRevision, more <-chan struct{})
	// AddSchemaRevision stores schemas as the next after a number of them, or
	// returns ErrRevision where another server has stored some, which
	// SchemaRevisions then returns too. It fills format. It may return
	// ErrTooLarge.
	AddSchemaRevision(ctx context.Context, after int, revision *storagev1.SchemaRevision) error

	// TypeRevisions returns what AddTypeRevisions has stored, by whichever server,
	// the oldest first: what was stored when it is called is there. The slice and
	// what it holds are not to be changed.
	TypeRevisions(ctx context.Context) ([]*storagev1.TypeRevisions, error)
	// AddTypeRevisions stores revisions of types as the next after those with a
	// number, 0 where there are none, or returns ErrRevision where another server
	// has stored some. Before them, or with them, it stores the contents of their
	// files, by hash, of which some may be there. It fills format and number. It
	// may return ErrTooLarge.
	AddTypeRevisions(ctx context.Context, after int64, revisions *storagev1.TypeRevisions, contents map[string][]byte) error
	// SchemaFile returns a content by its hash, or ErrRecordNotFound.
	SchemaFile(ctx context.Context, hash string) ([]byte, error)
}

// Owners lets the servers that share a storage call each other about
// subscriptions.
type Owners interface {
	// Exclusive reports whether no other server can use this storage.
	Exclusive() bool
	// Serve calls handle with each request that another server sends about a
	// subscription. handle is called in one goroutine; reply may be called from
	// any, once. stop ends it, having had what came until then handled: its caller
	// would wait for a reply in vain.
	Serve(s *Subscription, handle func(request []byte, reply func([]byte))) (stop func(), err error)
	// Call sends a request to the server that serves a subscription and returns
	// its reply. It returns ErrNobody where there is none.
	Call(ctx context.Context, s *Subscription, request []byte) ([]byte, error)
}

// Sync is what a change waits for before its call returns.
type Sync string

const (
	// SyncWritten: it is handed to the operating system. It outlives the process,
	// and the machine not for sure.
	SyncWritten Sync = "written"
	// SyncFsync: it is on the disk.
	SyncFsync Sync = "fsync"
)
