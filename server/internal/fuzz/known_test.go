package fuzz

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// known is what responses have told, by what it is: names of topics and
// subscriptions, sequences, cursors, tokens. It is safe for concurrent use.
type known struct {
	images [][]byte // Schemas that may be registered.

	mu      sync.Mutex
	texts   map[string][]string
	numbers map[string][]int64
	next    int
}

// maxKnown is how many values of a kind are kept; a newer one takes the place of an old one.
const maxKnown = 64

// guarded is the topic of the client that keeps to the contract: no other call
// knows it.
const guarded = "guarded"

// What a round begins with.
var (
	commonTopics        = []string{"orders", "fuzz-a", "fuzz-b", "fuzz-c", "fuzz-d"}
	commonSubscriptions = []string{"sub-a", "sub-b", "sub-c", "sub-d"}
)

func newKnown() *known {
	return &known{texts: make(map[string][]string), numbers: make(map[string][]int64)}
}

// kindOf says what the values of a field are.
func kindOf(field protoreflect.FieldDescriptor) string {
	name := strings.TrimPrefix(strings.TrimPrefix(string(field.Name()), "next_"), "earliest_")
	switch {
	case strings.Contains(name, "sequence") && field.Kind() != protoreflect.StringKind:
		return "sequence"
	case strings.HasSuffix(name, "delivery_tokens"):
		return "delivery_token"
	case strings.HasSuffix(name, "revision") || name == "revision_after":
		return "revision"
	case name == "event_types":
		return "type"
	case name != "name":
		return name
	}
	parent := string(field.Parent().Name())
	for kind, part := range map[string]string{"topic": "Topic", "subscription": "Subscription", "type": "EventType"} {
		if strings.Contains(parent, part) {
			return kind
		}
	}
	return name
}

// text returns a value that suits a field of text.
func (k *known) text(g *generator, field protoreflect.FieldDescriptor) (text string, ok bool) {
	if k == nil {
		return "", false
	}
	kind := kindOf(field)
	// What is created and published has names that come again.
	switch {
	case kind == "topic" && g.one(3):
		return pick(g, commonTopics...), true
	case kind == "subscription" && g.one(3):
		return pick(g, commonSubscriptions...), true
	case kind == "id" && g.one(2):
		return "event-" + string(rune('a'+g.IntN(26))) + string(rune('a'+g.IntN(26))), true
	case kind == "request_id", kind == "etag" && g.one(2), kind == "revision" && g.one(2):
		return "", true
	case kind == "cel":
		return pick(g, "true", "event.id != 'x'", "event.sequence > 0", "has(event.subject)", "event.attributes.exists(a, a == 'x')"), true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if list := k.texts[kind]; len(list) > 0 {
		return pick(g, list...), true
	}
	return "", kind == "page_token"
}

// number returns a value that suits a field of a number.
func (k *known) number(g *generator, field protoreflect.FieldDescriptor) (n int64, ok bool) {
	if k == nil {
		return 0, false
	}
	if field.Name() == "max_bytes" { // Space that is set apart is lacking elsewhere.
		return pick[int64](g, 0, 1, 1000, 100_000), true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if list := k.numbers[kindOf(field)]; len(list) > 0 {
		return pick(g, list...), true
	}
	return 0, false
}

// learn keeps what a response tells.
func (k *known) learn(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() || field.Message() != nil && field.Message().FullName() == "google.protobuf.Any":
		case field.IsList():
			for i := range min(value.List().Len(), 8) {
				k.learnValue(field, value.List().Get(i))
			}
		default:
			k.learnValue(field, value)
		}
		return true
	})
}

func (k *known) learnValue(field protoreflect.FieldDescriptor, value protoreflect.Value) {
	if field.Message() != nil {
		k.learn(value.Message())
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch kind := kindOf(field); field.Kind() {
	case protoreflect.StringKind:
		if text := value.String(); text != "" && text != guarded && len(text) < 2000 {
			k.texts[kind] = keep(k, k.texts[kind], text)
		}
	case protoreflect.Int64Kind:
		k.numbers[kind] = keep(k, k.numbers[kind], value.Int())
	default:
	}
}

func keep[T any](k *known, list []T, value T) []T {
	if len(list) < maxKnown {
		return append(list, value)
	}
	k.next++
	list[k.next%maxKnown] = value
	return list
}
