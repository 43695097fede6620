package read

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command, GetCommand}

func eventsFrame(sequences ...int64) *tidingsv1.ReadResponse {
	batch := new(tidingsv1.EventBatch)
	for _, sequence := range sequences {
		batch.Events = append(batch.Events, &tidingsv1.RecordedEvent{
			Event:    &tidingsv1.Event{Id: fmt.Sprint("e-", sequence)},
			Sequence: sequence,
			Cursor:   fmt.Sprint("after-", sequence),
		})
	}
	return &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Events{Events: batch}}
}

func TestFollowReconnectsAfterTheLastCursor(t *testing.T) {
	var requests []*tidingsv1.ReadRequest
	server := &clitest.Server{OnRead: func(request *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
		requests = append(requests, request)
		if len(requests) == 1 {
			if err := stream.Send(eventsFrame(1, 2)); err != nil {
				return err
			}
			// Past the events there was one that a filter left out.
			checkpoint := &tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Checkpoint{Checkpoint: &tidingsv1.Checkpoint{Cursor: "after-5"}}}
			if err := stream.Send(checkpoint); err != nil {
				return err
			}
			return clitest.Unavailable(t)
		}
		return stream.Send(eventsFrame(6))
	}}
	status, stdout, stderr := server.Run(t, commands, "", "read", "orders", "--follow", "--limit", "3")
	if status != command.StatusOK {
		t.Errorf("status %d: %s", status, stderr)
	}
	if got := strings.Count(stdout, "\n"); got != 3 || !strings.Contains(stdout, `"id":"e-6"`) {
		t.Errorf("printed %s", stdout)
	}
	if !strings.Contains(stderr, "SERVER_DRAINING") || !strings.Contains(stderr, "reconnecting") {
		t.Errorf("said %s", stderr)
	}
	if len(requests) != 2 || requests[1].GetStart().GetCursor() != "after-5" || requests[1].GetMaxEvents() != 1 {
		t.Errorf("requests %v", requests)
	}
}

func TestReadFailsWhereItCannotGoOn(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		err    func(*testing.T) error
		status int
	}{
		"not following":        {nil, clitest.Unavailable, command.StatusFailed},
		"following, no retry":  {[]string{"--follow"}, func(*testing.T) error { return connect.NewError(connect.CodeNotFound, nil) }, command.StatusNotFound},
		"following, at a loss": {[]string{"--follow"}, func(*testing.T) error { return connect.NewError(connect.CodeDataLoss, nil) }, command.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			server := &clitest.Server{OnRead: func(_ *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
				if err := stream.Send(eventsFrame(7)); err != nil {
					return err
				}
				return test.err(t)
			}}
			status, stdout, stderr := server.Run(t, commands, "", append([]string{"read", "orders"}, test.args...)...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.Contains(stdout, `"id":"e-7"`) || !strings.Contains(stderr, "to continue: --after after-7\n") {
				t.Errorf("printed %s and %s", stdout, stderr)
			}
		})
	}
}

func TestReadSaysWhatIsGone(t *testing.T) {
	server := &clitest.Server{OnRead: func(_ *tidingsv1.ReadRequest, stream *connect.ServerStream[tidingsv1.ReadResponse]) error {
		return stream.Send(&tidingsv1.ReadResponse{Frame: &tidingsv1.ReadResponse_Gap{Gap: &tidingsv1.Gap{FirstSequence: 4096, NextSequence: 8192}}})
	}}
	status, stdout, stderr := server.Run(t, commands, "", "read", "orders")
	if status != command.StatusOK || stdout != "" || !strings.Contains(stderr, "from sequence 4096 to before 8192 are gone") {
		t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
	}
}

func TestReadTakesAFilter(t *testing.T) {
	var asked *tidingsv1.ReadRequest
	server := &clitest.Server{OnRead: func(request *tidingsv1.ReadRequest, _ *connect.ServerStream[tidingsv1.ReadResponse]) error {
		asked = request
		return nil
	}}
	for _, args := range [][]string{{"--where", "true", "--attribute", "id=x"}, nil} {
		if status, _, stderr := server.Run(t, commands, "", append([]string{"read", "orders"}, args...)...); status != command.StatusOK {
			t.Fatal(stderr)
		}
		filter := asked.GetFilter()
		if want := len(args) > 0; (filter != nil) != want || want && (filter.GetCel() != "true" || filter.GetAttributes().GetExact().GetValues()["id"] != "x") {
			t.Errorf("%v: asked for %v", args, filter)
		}
	}
}
