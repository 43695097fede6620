package client

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	// eventOverhead is what an event in flight takes besides its encoding, about.
	eventOverhead = 128
	// maxKeptEncoding is the size above which the memory of an encoding isn't kept.
	maxKeptEncoding = 64 << 10
)

// encodings are buffers for the events of a call.
var encodings = sync.Pool{New: func() any { return new([]byte) }}

// known returns the topic that topicOf returned, or nothing where that isn't one.
func known(topic string) string {
	if strings.HasPrefix(topic, "/") {
		return ""
	}
	return topic
}

// topicOf returns what an event's batch is shared by: its topic as far as this program
// knows it, or its type after a slash, which no topic has in its name.
func (p *Publisher) topicOf(event *tidingsv1.Event) string {
	if p.options.Topic != "" {
		return p.options.Topic
	}
	url := event.GetData().GetTypeUrl()
	if known, ok := p.topics.Load(url); ok {
		return known.(string) //nolint:forcetypeassert // The map holds nothing else.
	}
	name := url[strings.LastIndexByte(url, '/')+1:]
	topic := "/" + name
	if found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name)); err == nil {
		options, _ := found.Descriptor().Options().(*descriptorpb.MessageOptions)
		event, _ := proto.GetExtension(options, optionsv1.E_Event).(*optionsv1.EventOptions)
		if event.GetTopic() != "" {
			topic = event.GetTopic()
		}
	}
	p.topics.Store(url, topic)
	return topic
}

// publishBatch is a request of the stream. The mutex of the Publisher guards it, except
// for the request and the encoded events, which the writer sends.
type publishBatch struct {
	// number orders batches: the count of batches before it, and the index of its
	// first event where it is a part of one.
	number  int64
	topic   string // As topicOf has it.
	shared  bool   // Each event has a Result of its own.
	opened  time.Time
	encoded []byte
	ends    []int     // Where the events of a shared batch end in encoded.
	results []*Result // nil: its event was withdrawn before it was sent.
	part    bool      // It shares its memory with other batches.
	request *tidingsv1.PublishStreamRequest

	withdrawn int
	sent      bool // In this or an earlier call.
	doubtful  bool // It may be stored: it was sent and not, or not clearly, answered.
	suspect   bool // It may be why more was refused, and nothing else is in flight with it.
	internal  int  // How often the server failed.
}

// add adds the event of a Result to a batch that is shared.
func (b *publishBatch) add(r *Result, data []byte) {
	r.batch, r.index = b, len(b.results)
	b.encoded = append(b.encoded, data...)
	b.ends = append(b.ends, len(b.encoded))
	b.results = append(b.results, r)
}

// withdraw takes the event of a Result out of a batch that hasn't been sent. It reports
// whether there are others.
func (b *publishBatch) withdraw(r *Result) bool {
	b.results[r.index] = nil
	b.withdrawn++
	r.batch = nil
	return b.withdrawn < len(b.results)
}

// prepare makes the request, once.
func (b *publishBatch) prepare(topic string) {
	if b.request != nil {
		return
	}
	if b.withdrawn > 0 {
		b.compact()
	}
	publish := &tidingsv1.PublishRequest{Topic: topic, SkipInvalid: b.shared}
	publish.ProtoReflect().SetUnknown(b.encoded) // Encoded as it is.
	b.request = &tidingsv1.PublishStreamRequest{Publish: publish}
}

// compact drops the events that were withdrawn.
func (b *publishBatch) compact() {
	from, rest := 0, *b
	b.encoded, b.ends, b.results, b.withdrawn = b.encoded[:0], b.ends[:0], b.results[:0], 0
	for i, r := range rest.results {
		end := rest.ends[i]
		if r != nil {
			b.add(r, rest.encoded[from:end])
		}
		from = end
	}
}

// split returns the two halves of a batch that several events share.
func (b *publishBatch) split() (before, after *publishBatch) {
	if b.withdrawn > 0 {
		b.compact()
	}
	half := len(b.results) / 2
	return b.slice(0, half), b.slice(half, len(b.results))
}

// slice returns some events of a batch as one of its own, which takes its memory over.
func (b *publishBatch) slice(from, to int) *publishBatch {
	begin := 0
	if from > 0 {
		begin = b.ends[from-1]
	}
	part := &publishBatch{
		number: b.number + int64(from), topic: b.topic, shared: true, opened: b.opened, part: true, sent: b.sent, suspect: true,
		encoded: b.encoded[begin:b.ends[to-1]],
	}
	for i, r := range b.results[from:to] {
		r.batch, r.index = part, i
		part.ends = append(part.ends, b.ends[from+i]-begin)
		part.results = append(part.results, r)
	}
	return part
}

// ofOneCall changes the place of an event in an error from its batch to its call, in
// which it is the only one.
func ofOneCall(detail *tidingsv1.ErrorDetail, index int64) *RefusedError {
	there, here := fmt.Sprintf("events[%d]", index), "events[0]"
	detail.Message = strings.ReplaceAll(detail.GetMessage(), there, here)
	for _, violation := range detail.GetFieldViolations() {
		if rest, ok := strings.CutPrefix(violation.GetField(), there); ok {
			violation.Field = here + rest
		}
	}
	return &RefusedError{detail}
}
