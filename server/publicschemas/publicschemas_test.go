package publicschemas

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

var seedFlag = flag.Uint64("seed", 0, "`seed` of the messages; 0: a new one")

const (
	topic = "public"
	// perType is how many messages of each type are published by each client.
	perType = 2
	// perTypeRuled is the same where some will be refused.
	perTypeRuled = 8
	batch        = 500
)

// Messages of every type of each source are published in binary and in JSON, and
// each is read back in both, equal. What breaks a rule is refused, and nothing
// else is.
func TestPublicSchemas(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // Not secret.
	}
	t.Logf("go test -run TestPublicSchemas -args -seed %d makes the same messages", seed)
	for _, source := range sources {
		t.Run(source.name, func(t *testing.T) {
			began := time.Now()
			s := source.load(t)
			if len(s.messages) < source.messages {
				t.Fatalf("%d messages, want at least %d", len(s.messages), source.messages)
			}
			at := serve(t, s.image)
			g := newGenerator(t, s, seed)
			binary, json := newBinaryClient(t, at.GRPC), newJSONClient(t, at.HTTP, g.types)
			_, err := tidingsv1.NewTopicServiceClient(binary.conn).CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: topic}})
			if err != nil {
				t.Fatal(err)
			}
			p := &published{t: t, types: g.types, stored: make(map[string]*dynamicpb.Message)}
			each := perType
			if source.ruled {
				each = perTypeRuled
			}
			p.publish(binary, g, s, "binary", each)
			p.publish(json, g, s, "json", each)
			p.publishMerged(binary, g, s)
			if len(p.stored) == 0 || source.ruled != (p.refused > 0) {
				t.Errorf("%d messages stored and %d refused", len(p.stored), p.refused)
			}
			p.compare(binary, "binary")
			p.compare(json, "JSON")
			t.Logf("%d files, %d messages, %d events stored, %d refused, %s",
				s.files.NumFiles(), len(s.messages), len(p.stored), p.refused, time.Since(began).Round(time.Millisecond))
		})
	}
}

// published is what was published and is expected.
type published struct {
	t       *testing.T
	types   *dynamicpb.Types
	stored  map[string]*dynamicpb.Message // By the id of the event.
	refused int
}

// publish publishes messages of each type.
func (p *published) publish(c client, g *generator, s *schemas, source string, each int) {
	p.t.Helper()
	var events []*tidingsv1.Event
	contents := make(map[string]*dynamicpb.Message)
	for _, of := range s.messages {
		for i := range each {
			id := fmt.Sprintf("%s-%s-%d", of.FullName(), source, i)
			contents[id] = g.message(of)
			events = append(events, p.event(id, contents[id], p.encode(contents[id])))
		}
	}
	p.send(c, events, contents)
}

// publishMerged publishes the encodings of two messages of a type, one after the
// other: those of the message that both merge to. They hold no Any, since the
// type of one and the content of the other don't go together.
func (p *published) publishMerged(c client, g *generator, s *schemas) {
	p.t.Helper()
	var events []*tidingsv1.Event
	contents := make(map[string]*dynamicpb.Message)
	g.held = nil
	for _, of := range s.messages {
		encoded := append(p.encode(g.message(of)), p.encode(g.message(of))...)
		merged := dynamicpb.NewMessage(of)
		if err := (proto.UnmarshalOptions{Resolver: p.types}).Unmarshal(encoded, merged); err != nil {
			p.t.Fatal(err)
		}
		id := string(of.FullName()) + "-merged"
		contents[id] = merged
		events = append(events, p.event(id, merged, encoded))
	}
	p.send(c, events, contents)
}

func (p *published) encode(message *dynamicpb.Message) []byte {
	p.t.Helper()
	encoded, err := proto.Marshal(message)
	if err != nil {
		p.t.Fatal(err)
	}
	return encoded
}

func (*published) event(id string, message *dynamicpb.Message, encoded []byte) *tidingsv1.Event {
	return &tidingsv1.Event{
		Id: id, Source: "/publicschemas",
		Data: &anypb.Any{TypeUrl: typePrefix + string(message.Descriptor().FullName()), Value: encoded},
	}
}

func (p *published) send(c client, events []*tidingsv1.Event, contents map[string]*dynamicpb.Message) {
	p.t.Helper()
	for part := range slices.Chunk(events, batch) {
		response, err := c.publish(p.t.Context(), &tidingsv1.PublishRequest{Topic: topic, Events: part, SkipInvalid: true})
		if err != nil {
			p.t.Fatal(err)
		}
		p.judge(part, contents, response)
	}
}

// judge compares which events were refused, and why, with what protovalidate
// says of them.
func (p *published) judge(events []*tidingsv1.Event, contents map[string]*dynamicpb.Message, response *tidingsv1.PublishResponse) {
	p.t.Helper()
	refusals := make(map[string]*tidingsv1.ErrorDetail)
	for _, refused := range response.GetRefusedEvents() {
		refusals[refused.GetId()] = refused.GetError()
	}
	if got := len(response.GetReceipts()) + len(refusals); got != len(events) {
		p.t.Errorf("%d receipts and refusals for %d events", got, len(events))
	}
	for i, event := range events {
		message := contents[event.GetId()]
		want := make(map[string]string)
		for field, rules := range broken(p.t, message) {
			want[strings.TrimSuffix(fmt.Sprintf("events[%d].data.%s", i, field), ".")] = rules
		}
		if got := violationsOf(refusals[event.GetId()]); !says(refusals[event.GetId()], got, want) {
			p.t.Errorf("%s: %v breaks\n%v, want\n%v", event.GetId(), refusals[event.GetId()], got, want)
		}
		if refusals[event.GetId()] != nil {
			p.refused++
		} else {
			p.stored[event.GetId()] = message
		}
	}
}

func violationsOf(refusal *tidingsv1.ErrorDetail) map[string]string {
	violations := make(map[string]string)
	for _, violation := range refusal.GetFieldViolations() {
		violations[violation.GetField()] += " " + violation.GetRuleId()
	}
	return violations
}

// says reports whether a refusal names what is wanted: all of it or, where it says
// how much there is, as much as had room.
func says(refusal *tidingsv1.ErrorDetail, got, want map[string]string) bool {
	count, cut := refusal.GetMetadata()["violations"]
	if !cut {
		return maps.Equal(got, want)
	}
	total := 0
	for _, rules := range want {
		total += strings.Count(rules, " ")
	}
	for field, rules := range got {
		if !strings.HasPrefix(want[field], rules) {
			return false
		}
	}
	return len(got) > 0 && count == strconv.Itoa(total)
}

// compare reads all events and compares them with what was published.
func (p *published) compare(c client, form string) {
	p.t.Helper()
	seen := make(map[string]bool)
	request := &tidingsv1.ReadRequest{Topic: topic, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}}
	err := c.read(p.t.Context(), request, func(frame *tidingsv1.ReadResponse) {
		for _, recorded := range frame.GetEvents().GetEvents() {
			event := recorded.GetEvent()
			want := p.stored[event.GetId()]
			if want == nil || seen[event.GetId()] {
				p.t.Errorf("%s: %s was read, and not published or read before", form, event.GetId())
				continue
			}
			seen[event.GetId()] = true
			got := dynamicpb.NewMessage(want.Descriptor())
			if err := (proto.UnmarshalOptions{Resolver: p.types}).Unmarshal(event.GetData().GetValue(), got); err != nil {
				p.t.Errorf("%s: %s: %v", form, event.GetId(), err)
			} else if !proto.Equal(got, want) {
				p.t.Errorf("%s: %s: read\n%v, want\n%v", form, event.GetId(), got, want)
			}
		}
	})
	if err != nil {
		p.t.Errorf("%s: %v", form, err)
	}
	if len(seen) != len(p.stored) {
		p.t.Errorf("%s: %d events were read, want %d", form, len(seen), len(p.stored))
	}
}
