package main

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/client"
	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// delivered is the third attempt to deliver a payload.
func delivered(t *testing.T, payload proto.Message, subject, key string) *tidingsv1.Delivery {
	t.Helper()
	data, err := anypb.New(payload)
	if err != nil {
		t.Fatal(err)
	}
	return &tidingsv1.Delivery{Attempt: 3, Recorded: &tidingsv1.RecordedEvent{
		Sequence: 4096, Event: &tidingsv1.Event{Subject: subject, PartitionKey: new(key), Data: data},
	}}
}

func TestLines(t *testing.T) {
	sender := &webhooksv1.User{Login: "ida-k"}
	tests := []struct {
		name    string
		payload proto.Message
		subject string
		key     string
		want    string
	}{
		{
			"an action", &webhooksv1.IssuesEvent{Action: "opened", Sender: sender}, "issues/3", "tea-works/kettle",
			`{"worker":"w","sequence":4096,"attempt":3,"repository":"tea-works/kettle","text":"Issues opened on issues/3 by ida-k"}`,
		},
		{
			"a push", &webhooksv1.PushEvent{Commits: make([]*webhooksv1.Commit, 2), Sender: sender}, "refs/heads/<main>", "tea-works/kettle",
			`{"worker":"w","sequence":4096,"attempt":3,"repository":"tea-works/kettle","text":"Push of 2 commits on refs/heads/<main> by ida-k"}`,
		},
		{
			"of an organisation", &webhooksv1.PingEvent{}, "", "",
			`{"worker":"w","sequence":4096,"attempt":3,"text":"Ping"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := newNotifier("w", &out).handle(delivered(t, test.payload, test.subject, test.key)); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want+"\n" {
				t.Errorf("got %s\nwant %s", out.String(), test.want)
			}
		})
	}
}

// No attempt of this program can make sense of an event that it doesn't know. An
// output that fails may work again.
func TestOnlyUnknownEventsAreDeadLetters(t *testing.T) {
	delivery := delivered(t, &webhooksv1.StarEvent{}, "", "")
	err := newNotifier("w", brokenWriter{}).handle(delivery)
	if client.NackKind(err) != tidingsv1.NackKind_NACK_KIND_RETRY {
		t.Errorf("got %v of a broken output", err)
	}
	delivery.GetRecorded().GetEvent().GetData().TypeUrl = "type.googleapis.com/github.webhooks.v9.MoonEvent"
	var out bytes.Buffer
	if err := newNotifier("w", &out).handle(delivery); client.NackKind(err) != tidingsv1.NackKind_NACK_KIND_DEAD_LETTER || out.Len() > 0 {
		t.Errorf("got %v and %q of an unknown event", err, out.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no paper") }
