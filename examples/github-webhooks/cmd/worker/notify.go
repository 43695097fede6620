package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	"example.com/tidings/client"
	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
)

// notification is the line about an event. With an attempt above 1 there may be
// such a line already: an event is delivered until it is acknowledged, and a
// worker may end between the two. The sequence says that it is the same event.
type notification struct {
	Worker     string `json:"worker"`
	Sequence   int64  `json:"sequence"`
	Attempt    int32  `json:"attempt"`
	Repository string `json:"repository,omitempty"`
	Text       string `json:"text"`
}

// notifier is the work of a worker: it writes a line about each event.
type notifier struct {
	worker string
	lines  *json.Encoder
}

func newNotifier(worker string, out io.Writer) *notifier {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	return &notifier{worker: worker, lines: lines}
}

// handle writes the line about a delivered event.
func (n *notifier) handle(delivery *client.Delivery) error {
	event := delivery.GetRecorded().GetEvent()
	// The payload becomes the type that it was published as, if this program was
	// built with it. No other attempt of it can do better: the event is for the dead
	// letters, where somebody can look at it and have it delivered again.
	payload, err := event.GetData().UnmarshalNew()
	if err != nil {
		return client.DeadLetter(err)
	}
	return n.lines.Encode(notification{
		Worker:     n.worker,
		Sequence:   delivery.GetRecorded().GetSequence(),
		Attempt:    delivery.GetAttempt(),
		Repository: event.GetPartitionKey(),
		Text:       describe(event.GetSubject(), payload),
	})
}

// describe says in a few words what happened.
func describe(subject string, payload proto.Message) string {
	words := []string{strings.TrimSuffix(string(payload.ProtoReflect().Descriptor().Name()), "Event")}
	switch event := payload.(type) {
	case *webhooksv1.PushEvent:
		words = append(words, fmt.Sprintf("of %d commits", len(event.GetCommits())))
	case interface{ GetAction() string }:
		words = append(words, event.GetAction())
	}
	if subject != "" {
		words = append(words, "on "+subject)
	}
	if event, ok := payload.(interface{ GetSender() *webhooksv1.User }); ok && event.GetSender() != nil {
		words = append(words, "by "+event.GetSender().GetLogin())
	}
	return strings.Join(words, " ")
}
