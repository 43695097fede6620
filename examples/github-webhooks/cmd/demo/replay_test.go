package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// memoryServer keeps what is published and gives it back, spoiled as a test
// wants it.
type memoryServer struct {
	tidingsv1.UnimplementedPublisherServiceServer
	tidingsv1.UnimplementedReaderServiceServer

	refuse string                                                      // the id of an event to refuse
	answer func(*tidingsv1.PublishStreamResponse)                      // spoils an answer
	spoil  func([]*tidingsv1.RecordedEvent) []*tidingsv1.RecordedEvent // spoils what is read

	stored []*tidingsv1.RecordedEvent
}

func (s *memoryServer) PublishStream(stream grpc.BidiStreamingServer[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]) error {
	for batch := int64(0); ; batch++ {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		published := &tidingsv1.PublishResponse{Topic: topic}
		for i, event := range request.GetPublish().GetEvents() {
			if event.GetId() == s.refuse {
				published.RefusedEvents = append(published.RefusedEvents, &tidingsv1.RefusedEvent{
					Index: int64(i), Id: event.GetId(),
					Error: &tidingsv1.ErrorDetail{
						Reason: tidingsv1.ErrorReason_ERROR_REASON_EVENT_INVALID,
						FieldViolations: []*tidingsv1.FieldViolation{
							{Field: "events[0].data.sender", Description: "value is required"},
							{Field: "events[0].data.action", Description: "value is too short"},
						},
					},
				})
				continue
			}
			published.Receipts = append(published.Receipts, s.store(int64(i), event))
		}
		response := &tidingsv1.PublishStreamResponse{
			Batch:  batch,
			Result: &tidingsv1.PublishStreamResponse_Published{Published: published},
		}
		if s.answer != nil {
			s.answer(response)
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// store keeps an event as a server does: with the key that its type declares, if it
// has one.
func (s *memoryServer) store(index int64, event *tidingsv1.Event) *tidingsv1.Receipt {
	if data, err := event.GetData().UnmarshalNew(); err == nil {
		e, ok := data.(interface{ GetRepository() *webhooksv1.Repository })
		if ok && e.GetRepository().GetFullName() != "" {
			event.PartitionKey = new(e.GetRepository().GetFullName())
		}
	}
	sequence := int64(4096 + 10*len(s.stored))
	s.stored = append(s.stored, &tidingsv1.RecordedEvent{Event: event, Topic: topic, Sequence: sequence})
	return &tidingsv1.Receipt{Index: index, Sequence: sequence}
}

func (s *memoryServer) Read(request *tidingsv1.ReadRequest, stream grpc.ServerStreamingServer[tidingsv1.ReadResponse]) error {
	if !request.GetStop().GetCaughtUp() {
		return errors.New("the demo would wait forever")
	}
	events := s.stored
	if s.spoil != nil {
		events = s.spoil(events)
	}
	for _, event := range events {
		batch := &tidingsv1.EventBatch{Events: []*tidingsv1.RecordedEvent{event}}
		if err := stream.Send(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}); err != nil {
			return err
		}
	}
	return stream.Send(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_CaughtUp{CaughtUp: &tidingsv1.CaughtUp{Cursor: "end"}}})
}

// replayAgainst runs the demo against a server, and gives the report.
func replayAgainst(t *testing.T, server *memoryServer, all *deliveries) (string, error) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	running := grpc.NewServer()
	tidingsv1.RegisterPublisherServiceServer(running, server)
	tidingsv1.RegisterReaderServiceServer(running, server)
	served := make(chan error, 1)
	go func() { served <- running.Serve(listener) }()
	t.Cleanup(func() {
		running.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var out bytes.Buffer
	err = replay(t.Context(), conn, all, &out)
	return out.String(), err
}

// examples loads the payloads of testdata and converts them.
func examples(t *testing.T) *deliveries {
	t.Helper()
	all, err := load(filepath.Join("testdata", "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	all.convert()
	return all
}

func TestReplay(t *testing.T) {
	out, err := replayAgainst(t, &memoryServer{}, examples(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `
event type                    payloads  published  refused  read back equal
issues                               1          1        0                1
ping                                 1          1        0                1
star                                 2          2        0                2
total                                4          4        0                4

Not published, because github.webhooks.v1 has no event for these kinds (payloads):
sponsorship (2).
`
	if got := "\n" + out; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A server that loses or alters something doesn't pass.
func TestReplayNoticesEveryLoss(t *testing.T) {
	change := func(event *tidingsv1.RecordedEvent, alter func(*webhooksv1.StarEvent)) {
		star := new(webhooksv1.StarEvent)
		if err := event.GetEvent().GetData().UnmarshalTo(star); err != nil {
			t.Fatal(err)
		}
		alter(star)
		data, err := anypb.New(star)
		if err != nil {
			t.Fatal(err)
		}
		event.Event.Data = data
	}
	type events = []*tidingsv1.RecordedEvent
	tests := []struct {
		name  string
		spoil func(events) events
		want  string // in the report or the error
	}{
		{"lost", func(all events) events { return all[1:] }, "star[0] was stored once and read back 0 times"},
		{"all lost", func(events) events { return nil }, "of 4 payloads 0 were refused and 4 lost or altered"},
		{"twice", func(all events) events { return append(events{all[0]}, all...) }, "sequence 4096 after 4096"},
		{"other order", func(all events) events { return events{all[1], all[0], all[2], all[3]} }, "sequence 4096 after 4106"},
		{"a stranger", func(all events) events {
			return append(all, &tidingsv1.RecordedEvent{Sequence: 1 << 40, Topic: topic, Event: &tidingsv1.Event{Id: "stranger"}})
		}, `event "stranger" at sequence 1099511627776 was not published`},
		{"an altered value", func(all events) events {
			change(all[0], func(star *webhooksv1.StarEvent) { star.Action = "deleted" })
			return all
		}, `star[0] altered: action: altered from "created" to "deleted"`},
		{"a lost false", func(all events) events {
			change(all[0], func(star *webhooksv1.StarEvent) { star.Repository.Private = nil })
			return all
		}, "star[0] altered: repository.private: lost false"},
		{"an altered envelope", func(all events) events {
			all[0].Event.Subject = "elsewhere"
			return all
		}, "star[0] altered: the event is not the one that was published"},
		{"no key", func(all events) events {
			all[0].Event.PartitionKey = nil
			return all
		}, "star[0] altered: the event is not the one that was published"},
		{"another type", func(all events) events {
			all[0].Event.Data.TypeUrl = "type.googleapis.com/github.webhooks.v1.WatchEvent"
			return all
		}, "star[0] altered: the content is not the one that was published"},
		{"another topic", func(all events) events {
			all[0].Topic = "orders"
			return all
		}, `star[0] altered: came from topic "orders"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &memoryServer{spoil: test.spoil}
			out, err := replayAgainst(t, server, examples(t))
			if err == nil {
				t.Fatalf("nothing noticed:\n%s", out)
			}
			if !strings.Contains(out+err.Error(), test.want) {
				t.Errorf("got %v\n%s\nwant %q", err, out, test.want)
			}
		})
	}
}

// Answers that a correct server does not give end the demo.
func TestReplayNoticesWrongAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer func(*tidingsv1.PublishStreamResponse)
		want   string
	}{
		{"no receipt", func(r *tidingsv1.PublishStreamResponse) {
			r.GetPublished().Receipts = r.GetPublished().GetReceipts()[1:]
		}, "neither receipt nor refusal for star[0]"},
		{"two receipts", func(r *tidingsv1.PublishStreamResponse) {
			r.GetPublished().GetReceipts()[1].Index = 0
		}, "unexpected receipt for event 0"},
		{"one sequence twice", func(r *tidingsv1.PublishStreamResponse) {
			r.GetPublished().GetReceipts()[1].Sequence = r.GetPublished().GetReceipts()[0].GetSequence()
		}, "star[1] and star[0] have the same sequence 4096"},
		{"no sequence", func(r *tidingsv1.PublishStreamResponse) {
			r.GetPublished().GetReceipts()[0].Sequence = 0
		}, "receipt for star[0]: sequence 0"},
		{"a duplicate of nothing", func(r *tidingsv1.PublishStreamResponse) {
			r.GetPublished().GetReceipts()[0].Duplicate = true
		}, "duplicate true, of an event that is new"},
		{"another batch", func(r *tidingsv1.PublishStreamResponse) { r.Batch = 7 }, "answer to batch 7 of 1"},
		{"a refused batch", func(r *tidingsv1.PublishStreamResponse) {
			r.Result = &tidingsv1.PublishStreamResponse_Error{Error: &tidingsv1.ErrorDetail{
				Reason: tidingsv1.ErrorReason_ERROR_REASON_STORAGE_FULL, Message: "no space left",
			}}
		}, "star[0] refused: STORAGE_FULL: no space left"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &memoryServer{
				answer: test.answer,
				spoil:  func([]*tidingsv1.RecordedEvent) []*tidingsv1.RecordedEvent { return nil },
			}
			out, err := replayAgainst(t, server, examples(t))
			if err == nil {
				t.Fatalf("nothing noticed:\n%s", out)
			}
			if !strings.Contains(out+err.Error(), test.want) {
				t.Errorf("got %v\n%s\nwant %q", err, out, test.want)
			}
		})
	}
}

func TestReplayReportsRefusals(t *testing.T) {
	all := examples(t)
	all.modelled = append(all.modelled, &delivery{kind: "watch", payload: json.RawMessage(`{"since": 1, "until": 2}`)})
	all.convert()
	out, err := replayAgainst(t, &memoryServer{refuse: "star-1"}, all)
	if err == nil || err.Error() != "of 5 payloads 2 were refused and 0 lost or altered" {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		"star[1] refused: EVENT_INVALID: events[0].data.sender: value is required\n",
		"star[1] refused: EVENT_INVALID: events[0].data.action: value is too short\n",
		"watch[0] refused: since: unknown field: github.webhooks.v1.WatchEvent has no such field\n",
		"watch[0] refused: until: unknown field: github.webhooks.v1.WatchEvent has no such field\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestEnvelope(t *testing.T) {
	got := make(map[string]*tidingsv1.Event)
	for _, d := range examples(t).modelled {
		event, ok := proto.Clone(d.event).(*tidingsv1.Event)
		if !ok || event.GetData().GetTypeUrl() == "" {
			t.Fatalf("%s: no content", d.name())
		}
		event.Data = nil
		got[d.name()] = event
	}
	for name, want := range map[string]*tidingsv1.Event{
		"star[0]":   {Id: "star-0", Source: "https://github.com/tea-works/kettle", Subject: "stargazers"},
		"star[1]":   {Id: "star-1", Source: "https://github.com/tea-works/kettle", Subject: "stargazers"},
		"ping[0]":   {Id: "ping-0", Source: "https://github.com/tea-works"},
		"issues[0]": {Id: "issues-0", Source: "https://github.com/tea-works/kettle", Subject: "issues/3"},
	} {
		at := got[name].GetTime()
		if known := name != "star[1]" && name != "ping[0]"; known != (at != nil) {
			t.Errorf("%s: time %v", name, at)
		}
		got[name].Time = nil
		if !proto.Equal(got[name], want) {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}

func TestLoadSaysHowToGetThePayloads(t *testing.T) {
	if _, err := load(filepath.Join(t.TempDir(), "index.json")); err == nil || !strings.Contains(err.Error(), "make demo") {
		t.Errorf("got %v", err)
	}
}
