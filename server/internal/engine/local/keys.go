package local

import (
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"example.com/tidings/server/internal/engine"
)

// A key of the store is a byte for the kind of what it has, and then, in big
// endian, what tells those of a kind apart. The order of keys is that of bytes.
const (
	// kindCommit: the number of the last commit. Every commit writes it.
	kindCommit = 'n'
	// kindTopic and kindSubscription, and a name: a revision and a configuration.
	kindTopic        = 't'
	kindSubscription = 's'
	// kindRevision: the last revision that a configuration was given.
	kindRevision = 'v'
	// kindSchemas and a number, from 1 on: schemas that were registered.
	kindSchemas = 'g'
	// kindBase: the schemas that a server was started with.
	kindBase = 'b'
	// kindTypes and a number, from 1 on: revisions of event types.
	kindTypes = 'y'
	// kindFile and a hash: the content of a file of schemas.
	kindFile = 'f'

	// kindRecord, the uid of a topic and the sequence of its first event: a
	// record. See recordValue.
	kindRecord = 'r'
	// kindEnd and the uid of a topic: what remains to be known of one that
	// retention has emptied. See tail.
	kindEnd = 'e'
	// kindHole, the uid of a topic and a sequence: the sequence after the hole
	// that begins there.
	kindHole = 'h'
	// kindBucket and the level of a segment in one byte, the uid of a topic, the
	// sequence of the segment, and a bucket in two bytes: its entries. See bucket.
	kindBucket = 'A'
	// kindSegment, the uid of a topic and the sequence of the first event of the
	// last record in a segment of the index of keys: see segment. A topic that has
	// had a record has one at least.
	kindSegment = 'Z'
	// kindOldKey: the index of keys that releases until 0.2.0 had.
	kindOldKey = 'k'
	// kindIdentity, the uid of a topic and an identity: see identity.
	kindIdentity = 'i'
	// kindExpiry, the uid of a topic and the sequence of the first event of what
	// was stored together: when, and the identities that it brought.
	kindExpiry = 'x'

	// kindJournal, the uid of a subscription and a number, from 1 on: an entry.
	kindJournal = 'j'
	// kindLetter, the uid of a subscription and a place: the sequence of the
	// event, and its dead letter.
	kindLetter = 'd'
	// kindLetterPlace, the uid of a subscription and the sequence of an event:
	// the place of its dead letter.
	kindLetterPlace = 'l'
	// kindLetterCount and the uid of a subscription: how many dead letters there
	// are, and the last place that was given to one.
	kindLetterCount = 'c'
)

// topicKinds and subscriptionKinds are what is deleted with a topic or a
// subscription.
var (
	topicKinds        = append([]byte{kindRecord, kindEnd, kindHole, kindSegment, kindOldKey, kindIdentity, kindExpiry}, bucketKinds[:]...)
	subscriptionKinds = []byte{kindJournal, kindLetter, kindLetterPlace, kindLetterCount}
)

// bucketKinds are kindBucket with each level. As kinds of their own they are in
// tables of their own, so that a segment isn't written again for those below it.
var bucketKinds = func() (kinds [levels]byte) {
	for level := range kinds {
		kinds[level] = kindBucket + byte(level)
	}
	return kinds
}()

var commitKey = []byte{kindCommit}

func nameKey(kind byte, name string) []byte { return append([]byte{kind}, name...) }

// uidKey is the key of what there is one of for a uid, and what every other key
// of the kind and the uid begins with.
func uidKey(kind byte, uid uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 1+8), kind), uid)
}

// afterUID is above every key of a kind and a uid.
func afterUID(kind byte, uid uint64) []byte {
	if uid == math.MaxUint64 {
		return []byte{kind + 1}
	}
	return uidKey(kind, uid+1)
}

// numberKeySize is the size of a key of a kind, a uid and a number.
const numberKeySize = 1 + 8 + 8

func numberKey(kind byte, uid uint64, number int64) []byte {
	return appendNumberKey(make([]byte, 0, numberKeySize), kind, uid, number)
}

func appendNumberKey(b []byte, kind byte, uid uint64, number int64) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kind), uid)
	return binary.BigEndian.AppendUint64(b, uint64(number))
}

// numberOf returns the number that a key ends in.
func numberOf(key []byte) int64 {
	return int64(binary.BigEndian.Uint64(key[len(key)-8:]))
}

const identityKeySize = 1 + 8 + idSize

func appendIdentityKey(b []byte, uid uint64, id engine.ID) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, kindIdentity), uid), id[:]...)
}

// maxSequence is above every sequence.
const maxSequence = math.MaxInt64

// recordBounds are those of the records whose first events have a sequence or a
// higher one, and one below another.
func recordBounds(uid uint64, from, below int64) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: numberKey(kindRecord, uid, from), UpperBound: numberKey(kindRecord, uid, below)}
}
