package publish

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// tally is what became of the events of a publish, by topic. It is not safe for
// concurrent use.
type tally struct {
	topics  []*topicTally
	refused int64
}

type topicTally struct {
	topic              string
	stored, duplicates int64
	first, last        int64 // Sequences; 0: none.
}

func (t *tally) of(topic string) *topicTally {
	for _, known := range t.topics {
		if known.topic == topic {
			return known
		}
	}
	t.topics = append(t.topics, &topicTally{topic: topic})
	return t.topics[len(t.topics)-1]
}

// add counts the receipts of a batch.
func (t *tally) add(response *tidingsv1.PublishResponse) {
	if len(response.GetReceipts()) == 0 {
		return
	}
	topic := t.of(response.GetTopic())
	for _, receipt := range response.GetReceipts() {
		if receipt.GetDuplicate() {
			topic.duplicates++
		} else {
			topic.stored++
		}
		if topic.first == 0 || receipt.GetSequence() < topic.first {
			topic.first = receipt.GetSequence()
		}
		topic.last = max(topic.last, receipt.GetSequence())
	}
}

// print writes a line for each topic, and one for what was refused.
func (t *tally) print(w io.Writer) {
	for _, topic := range t.topics {
		fmt.Fprintf(w, "%s: %s\n", topic.topic, summary(topic.stored, topic.duplicates, topic.first, topic.last))
	}
	if len(t.topics) == 0 {
		fmt.Fprintln(w, "no event stored")
	}
	if t.refused > 0 {
		fmt.Fprintf(w, "%s refused\n", command.Count(t.refused, "event"))
	}
}

// summary says how many events of a topic were stored, and where.
func summary(stored, duplicates, first, last int64) string {
	text := command.Count(stored, "event") + " stored"
	if duplicates > 0 {
		text += fmt.Sprintf(", %d stored before", duplicates)
	}
	switch {
	case last == 0:
	case first == last:
		text += fmt.Sprintf(", sequence %d", first)
	default:
		text += fmt.Sprintf(", sequences %d to %d", first, last)
	}
	return text
}

// receiptLine is what `publish --receipts` prints of an event. The sequence is
// a string, as in protobuf's JSON.
type receiptLine struct {
	Line      int64  `json:"line"`
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	Sequence  string `json:"sequence"`
	Duplicate bool   `json:"duplicate"`
}

// printReceipts writes a line of JSON for each stored event of a batch.
func printReceipts(w io.Writer, b *batch, response *tidingsv1.PublishResponse) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, receipt := range response.GetReceipts() {
		index := receipt.GetIndex()
		if b.line(index) == 0 {
			return fmt.Errorf("the server sent a receipt for event %d of a request with %d", index, len(b.events))
		}
		err := out.Encode(receiptLine{
			Line:      b.line(index),
			ID:        b.events[index].GetId(),
			Topic:     response.GetTopic(),
			Sequence:  strconv.FormatInt(receipt.GetSequence(), 10),
			Duplicate: receipt.GetDuplicate(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
