package local

import (
	"github.com/cockroachdb/pebble/v2"
)

// identities finds the identities of a topic, durable or not, as they were when
// it was made. The committer has recent, which takes less.
type identities struct {
	engine *Engine
	topic  *topicLog
	iter   *pebble.Iterator
	key    [identityKeySize]byte
}

func (e *Engine) identities(t *topicLog) (*identities, error) {
	// Most of what is looked for isn't there, which the filters know: DB.Get
	// doesn't ask those of the lowest level.
	iter, err := e.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, e.failed(t, "the identities", err)
	}
	return &identities{engine: e, topic: t, iter: iter}, nil
}

func (i *identities) close() { _ = i.iter.Close() } // get has returned its errors.

// get returns what an identity was stored for.
func (i *identities) get(id [idSize]byte) (known identity, ok bool, err error) {
	if !i.iter.SeekPrefixGE(appendIdentityKey(i.key[:0], i.topic.uid, id)) {
		return known, false, i.engine.failed(i.topic, "an identity", i.iter.Error())
	}
	known, err = parseIdentity(i.iter.Value())
	return known, err == nil, i.engine.failed(i.topic, "an identity", err)
}
