package command_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

// Every command that prints events goes on after one that it can't show, and only
// after one.
func TestEventsAreShownWhateverTheyAre(t *testing.T) {
	server := new(clitest.Server)
	types := command.NewPayloadTypes(&command.Client{Schemas: server.Schemas()})
	for url, want := range map[string]string{
		"t/test.Unknown": `{"@type":"t/test.Unknown","value":"Cgk="}`,
		"t/test.Plain":   `{"@type":"t/test.Plain","value":"Cgk="}`, // It isn't an encoding of it.
	} {
		letter := &tidingsv1.DeadLetter{Recorded: &tidingsv1.RecordedEvent{Event: &tidingsv1.Event{Data: &anypb.Any{TypeUrl: url, Value: []byte{0x0a, 9}}}}}
		text, err := command.ToJSON(t.Context(), types, letter)
		if err != nil || string(text) != `{"recorded":{"event":{"data":`+want+`}}}` {
			t.Errorf("%s: %s, %v", url, text, err)
		}
	}
	server.TypeErrors = []error{clitest.Unavailable(t)}
	types = command.NewPayloadTypes(&command.Client{Schemas: server.Schemas()})
	if text, err := command.ToJSON(t.Context(), types, &tidingsv1.Event{Data: &anypb.Any{TypeUrl: "t/test.Plain"}}); err == nil {
		t.Errorf("shown though its type couldn't be fetched: %s", text)
	}
}
