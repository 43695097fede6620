package local

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// surveyedSubscription is what a survey knows of a subscription.
type surveyedSubscription struct {
	name string
	// entry is the number of the last entry of the journal, and broken says that
	// something before it is missing.
	entry  int64
	broken bool
	// letters is the number of the dead letters, and place the last of them.
	letters letterCount
	// places is a sum over the places that the dead letters have to have, less
	// those that are noted.
	places uint64
	// counted is what is noted of them.
	counted *letterCount
}

// subscription returns what is known of the subscription of a key, or nil.
func (s *survey) subscription(key []byte) *surveyedSubscription {
	sub := s.subscriptions[uidOf(key)]
	if sub == nil {
		s.report("", fmt.Sprintf("the subscription %016x", uidOf(key)), errors.New("its configuration is missing, so the rest of it is of no use"))
	}
	return sub
}

// journals reads the journals. What follows something that is missing is given
// up: what was settled then is delivered again.
func (s *survey) journals() error {
	return s.span(kindJournal, func(key, value []byte) error {
		sub := s.subscription(key)
		if sub == nil || sub.broken {
			return nil
		}
		number := numberOf(key)
		entry := new(storagev1.JournalEntry)
		err := proto.Unmarshal(value, entry)
		switch {
		case err != nil:
		case sub.entry == 0 && number != 1 && !isBeginning(entry), sub.entry != 0 && number != sub.entry+1:
			err = errors.New("an earlier one is missing")
		}
		if err != nil {
			sub.broken = true
			s.report("", fmt.Sprintf("the journal of subscription %s, entry %d", sub.name, number),
				fmt.Errorf("%w; from here on the journal is of no use", err))
			return nil
		}
		sub.entry = number
		return s.keep(key, value)
	})
}

// isBeginning reports whether a journal may begin with an entry.
func isBeginning(entry *storagev1.JournalEntry) bool {
	return len(entry.GetChanges()) > 0 && entry.GetChanges()[0].GetReset_() != nil
}

// letters reads the dead letters.
func (s *survey) letters() error {
	return s.span(kindLetter, func(key, value []byte) error {
		sub := s.subscription(key)
		if sub == nil {
			return nil
		}
		place := numberOf(key)
		letter, err := parseLetter(place, value)
		if err == nil {
			err = proto.Unmarshal(letter.Data, new(storagev1.DeadLetterRecord))
		}
		if err != nil {
			s.report("", fmt.Sprintf("the dead letter %d of subscription %s", place, sub.name), err)
			return nil
		}
		sub.letters.count++
		sub.letters.place = place
		at, number := numberKey(kindLetterPlace, uidOf(key), letter.Sequence), encodeNumber(place)
		sub.places += digest(at, number)
		if err := s.keep(at, number); err != nil {
			return err
		}
		return s.keep(key, value)
	})
}

// letterPlaces checks what finds the dead letters of events.
func (s *survey) letterPlaces() error {
	err := s.span(kindLetterPlace, func(key, value []byte) error {
		if sub := s.subscription(key); sub != nil {
			sub.places -= digest(key, value)
		}
		return nil
	})
	for _, sub := range s.subscriptions {
		if err == nil && sub.places != 0 {
			s.report("", "the places of the dead letters of subscription "+sub.name, errors.New("they don't agree with the dead letters; they can be noted anew"))
		}
	}
	return err
}

// letterCounts checks the numbers of dead letters.
func (s *survey) letterCounts() error {
	err := s.span(kindLetterCount, func(key, value []byte) error {
		sub := s.subscription(key)
		if sub == nil {
			return nil
		}
		counted, err := parseLetterCount(value)
		if err == nil && (counted.count != sub.letters.count || counted.place < sub.letters.place) {
			err = fmt.Errorf("%d are noted, but there are %d", counted.count, sub.letters.count)
		}
		if err != nil {
			s.report("", "the number of dead letters of subscription "+sub.name, err)
		}
		sub.counted = &counted
		return nil
	})
	if err != nil {
		return err
	}
	for uid, sub := range s.subscriptions {
		if sub.counted == nil && sub.letters.count == 0 {
			continue
		}
		if sub.counted == nil {
			s.report("", "the number of dead letters of subscription "+sub.name, errGap)
			sub.counted = new(letterCount)
		}
		sub.letters.place = max(sub.letters.place, sub.counted.place)
		if err := s.keep(uidKey(kindLetterCount, uid), sub.letters.encode()); err != nil {
			return err
		}
	}
	return nil
}
