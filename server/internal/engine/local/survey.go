package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/guard"
)

// survey reads all of a store that isn't open, past what is damaged, and checks
// that one thing agrees with another. It reads the files itself: Pebble refuses
// a store where one of them is damaged in the wrong place.
type survey struct {
	ctx     context.Context //nolint:containedctx // It is of one call.
	fs      vfs.FS
	store   string
	options *pebble.Options
	// tables are the files that count, and log is what the log has after them.
	tables []table
	log    []version
	// commit is the last commit that was found.
	commit uint64
	// found is called with what is wrong.
	found func(*engine.DamageError)
	// put, where it isn't nil, is called with each key of a store that has all
	// that could be read.
	put    func(key, value []byte) error
	failed error // What put returned.
	// progress is called with the number of keys that were read.
	progress func(keys int64)
	keys     int64
	events   int64

	topics        map[uint64]*surveyedTopic
	subscriptions map[uint64]*surveyedSubscription
	reported      map[string]bool
}

// newSurvey finds out which files count. whole says that the log follows on what
// the manifest says.
func newSurvey(ctx context.Context, fs vfs.FS, dir string, options *pebble.Options, whole bool, found func(*engine.DamageError)) (*survey, error) {
	options = options.Clone()
	options.FS = fs
	options.EventListener = silent()
	options.EnsureDefaults()
	s := &survey{
		ctx: ctx, fs: fs, store: fs.PathJoin(dir, storeDir), options: options, found: found,
		progress: func(int64) {},
		topics:   make(map[uint64]*surveyedTopic), subscriptions: make(map[uint64]*surveyedSubscription),
		reported: make(map[string]bool),
	}
	if err := s.findTables(whole); err != nil {
		return nil, err
	}
	if err := s.readCommit(); err != nil {
		return nil, err
	}
	if err := s.readLog(); err != nil {
		return nil, err
	}
	return s, nil
}

// findTables finds the tables of the store: those that its manifest names, or
// where that may be of an earlier time, or can't be read, all.
func (s *survey) findTables(whole bool) (err error) {
	names, err := tableNames(s.fs, s.store)
	if err != nil {
		return err
	}
	if whole {
		if names, err = s.namedTables(); err != nil {
			return err
		}
	}
	for _, name := range names {
		t, usable, err := checkTable(s.fs, s.store, name, s.options, func(place string, cause error) { s.report("", place, cause) })
		if err != nil {
			return err
		}
		if usable {
			s.tables = append(s.tables, t)
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// namedTables returns the tables that the manifest names.
func (s *survey) namedTables() (named []string, err error) {
	options := s.options.Clone()
	options.FS = withoutLogs{s.fs}
	options.ReadOnly = true
	err = guard.Do(func() error {
		db, err := pebble.Open(s.store, options)
		if err != nil {
			return err
		}
		defer func() { _ = guard.Do(db.Close) }()
		levels, err := db.SSTables()
		for _, level := range levels {
			for _, table := range level {
				named = append(named, fmt.Sprintf("%06d.sst", uint64(table.BackingSSTNum)))
			}
		}
		return err
	})
	return named, err
}

// readCommit finds the last commit that is in the tables.
func (s *survey) readCommit() error {
	return s.span(kindCommit, func(_, value []byte) error {
		commit, err := parseNumber(value)
		if err != nil {
			s.report("", "the number of the last commit", err)
		}
		s.commit = uint64(commit)
		return nil
	})
}

// readLog reads what the log has after the tables.
func (s *survey) readLog() error {
	logs, err := wal.Scan(wal.Dir{FS: s.fs, Dirname: s.store})
	if err != nil {
		return err
	}
	for _, log := range logs {
		_, path := log.SegmentLocation(0)
		var skipped error
		err := readLog(s.fs, path, log.Num, func(batch []byte, offset int64) {
			commit, err := commitOf(batch)
			if err == nil && commit > s.commit {
				if commit > s.commit+1 {
					s.report("", logPlace(log.Num, offset), fmt.Errorf("the commits %d to %d are missing before it", s.commit+1, commit-1))
				}
				s.commit = commit
				s.log, err = batchVersions(batch, s.log)
			}
			if err != nil {
				s.report("", logPlace(log.Num, offset), err)
			}
			if skipped != nil && commit > 0 && commit >= s.commit {
				s.report("", logPlace(log.Num, offset), fmt.Errorf("something before it can't be read: %w", skipped))
			}
			skipped = nil
		}, func(_ int64, err error) {
			if skipped == nil {
				skipped = err // At the end of the log it is nothing.
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// report says that something is wrong, once.
func (s *survey) report(topic, place string, cause error) {
	damage := &engine.DamageError{Topic: topic, Place: place, Cause: cause}
	if text := damage.Error(); !s.reported[text] {
		s.reported[text] = true
		s.found(damage)
	}
}

// span calls each with every key of a kind, and its value.
func (s *survey) span(kind byte, each func(key, value []byte) error) error {
	bounds := keyRange{[]byte{kind}, []byte{kind + 1}}
	var deleted []version
	noteDeleted := func(v version) { deleted = append(deleted, v) }
	var sources []source
	defer func() {
		for _, source := range sources {
			source.close()
		}
	}()
	for _, t := range s.tables {
		source, err := openTable(s.fs, s.store, t, s.options, bounds, noteDeleted, s.lost)
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	sources = append(sources, s.logSource(kind, noteDeleted))
	m := merge(sources, deleted)
	for {
		key, value, ok := m.next()
		if !ok {
			return nil
		}
		s.keys++
		if s.keys%progressKeys == 0 {
			s.progress(s.keys)
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		if err := errors.Join(each(key, value), s.failed); err != nil {
			return err
		}
	}
}

// progressKeys is the number of keys between two calls of progress.
const progressKeys = 10_000

// logSource is what the log has of a kind.
func (s *survey) logSource(kind byte, deleted func(version)) source {
	var versions []version
	for _, v := range s.log {
		switch {
		case v.kind == pebble.InternalKeyKindRangeDelete:
			deleted(v)
		case len(v.key) > 0 && v.key[0] == kind:
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, compareVersions)
	return &memorySource{versions}
}

// lost reports keys that can't be read.
func (s *survey) lost(l loss) {
	place := "file " + l.file
	topic := ""
	if l.start != nil || l.end != nil {
		place += fmt.Sprintf(", between %s and %s", s.describe(l.start, "its beginning"), s.describe(l.end, "its end"))
		if t := s.topics[uidOf(l.start)]; t != nil && uidOf(l.start) == uidOf(l.end) {
			topic = t.name
		}
	}
	s.report(topic, place, l.cause)
}

// uidOf returns the uid in a key, or 0.
func uidOf(key []byte) uint64 {
	if len(key) < 1+8 {
		return 0
	}
	return uint64(numberOf(key[:1+8]))
}

// describe says what a key is of.
func (s *survey) describe(key []byte, none string) string {
	if len(key) == 0 {
		return none
	}
	of := ""
	if t := s.topics[uidOf(key)]; t != nil {
		of = " of topic " + t.name
	} else if sub := s.subscriptions[uidOf(key)]; sub != nil {
		of = " of subscription " + sub.name
	}
	what, ok := kindNames[key[0]]
	if slices.Contains(bucketKinds[:], key[0]) {
		what, ok = "the index of keys", true
	}
	switch {
	case !ok:
		return "something"
	case key[0] == kindTopic, key[0] == kindSubscription:
		return what + " " + string(key[1:])
	case len(key) == numberKeySize && key[0] != kindIdentity:
		return fmt.Sprintf("%s %d%s", what, numberOf(key), of)
	default:
		return what + of
	}
}

var kindNames = map[byte]string{
	kindTopic: "topic", kindSubscription: "subscription", kindRevision: "the last revision",
	kindSchemas: "registered schemas", kindBase: "the schemas of the start",
	kindTypes: "revisions of event types", kindFile: "a file of schemas",
	kindRecord: "event", kindEnd: "the end", kindHole: "hole", kindSegment: "a segment of the index of keys",
	kindOldKey:   "the old index of keys",
	kindIdentity: "an identity", kindExpiry: "the identities of event",
	kindJournal: "journal entry", kindLetter: "dead letter", kindLetterPlace: "the dead letter of event",
	kindLetterCount: "the number of dead letters", kindCommit: "the last commit",
}

// keep puts a key into the new store, where there is one.
func (s *survey) keep(key, value []byte) error {
	if s.put == nil || s.failed != nil {
		return s.failed
	}
	s.failed = s.put(key, value)
	return s.failed
}

// run reads and checks everything.
func (s *survey) run() error {
	for _, step := range []func() error{
		s.configurations, s.schemas, s.types,
		s.holes, s.ends, s.segments, s.records, s.buckets, s.identities, s.expiries,
		s.journals, s.letters, s.letterPlaces, s.letterCounts,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	s.progress(s.keys)
	return s.keep(commitKey, encodeNumber(int64(min(s.commit, math.MaxInt64))))
}
