package publish

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command, ImportCommand, ValidateCommand}

type publishStream = connect.BidiStream[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse]

func eventLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"%d","source":"/s","data":{"@type":"t/test.Plain"}}`+"\n", i+1)
	}
	return b.String()
}

// store answers a batch with receipts.
func store(stream *publishStream, number int64, request *tidingsv1.PublishStreamRequest) error {
	response := &tidingsv1.PublishResponse{Topic: "plain"}
	for i := range request.GetPublish().GetEvents() {
		response.Receipts = append(response.Receipts, &tidingsv1.Receipt{Index: int64(i), Sequence: 4096*(number+1) + int64(i)})
	}
	return stream.Send(&tidingsv1.PublishStreamResponse{Batch: number, Result: &tidingsv1.PublishStreamResponse_Published{Published: response}})
}

func TestPublishSaysWhatHadNoAnswer(t *testing.T) {
	server := &clitest.Server{OnPublishStream: func(stream *publishStream) error {
		for number := range int64(3) {
			request, err := stream.Receive()
			if err != nil {
				return err
			}
			if number == 0 {
				if err := store(stream, number, request); err != nil {
					return err
				}
			}
		}
		return clitest.Unavailable(t)
	}}
	status, stdout, stderr := server.Run(t, commands, eventLines(6), "publish", "--batch", "2", "--topic", "plain")
	if status != command.StatusFailed {
		t.Errorf("status %d, want %d", status, command.StatusFailed)
	}
	if want := "plain: 2 events stored, sequences 4096 to 4097\n"; stdout != want {
		t.Errorf("printed %q, want %q", stdout, want)
	}
	for _, want := range []string{"4 events of lines 3 to 6 had no answer", "UNAVAILABLE SERVER_DRAINING: the server is shutting down"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q doesn't say %q", stderr, want)
		}
	}
}

func TestPublishStopsAtARefusedBatch(t *testing.T) {
	received := make(chan int, 1)
	server := &clitest.Server{OnPublishStream: func(stream *publishStream) error {
		number := int64(0)
		defer func() { received <- int(number) }()
		for ; ; number++ {
			request, err := stream.Receive()
			if err != nil {
				return nil
			}
			if number != 1 {
				err = store(stream, number, request)
			} else {
				err = stream.Send(&tidingsv1.PublishStreamResponse{Batch: number, Result: &tidingsv1.PublishStreamResponse_Error{Error: &tidingsv1.ErrorDetail{
					Reason:   tidingsv1.ErrorReason_ERROR_REASON_STORAGE_FULL,
					Code:     tidingsv1.StatusCode_STATUS_CODE_RESOURCE_EXHAUSTED,
					Message:  "the storage is full",
					Metadata: map[string]string{"topic": "plain"},
				}}})
			}
			if err != nil {
				return err
			}
		}
	}}
	const lines = 100_000
	status, _, stderr := server.Run(t, commands, eventLines(lines), "publish", "--batch", "1", "--topic", "plain")
	// What may pass isn't a refusal.
	if status != command.StatusFailed {
		t.Errorf("status %d, want %d", status, command.StatusFailed)
	}
	if want := "tidings: line 2 not stored: RESOURCE_EXHAUSTED STORAGE_FULL: the storage is full\n  topic: plain\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
	if got := <-received; got == lines {
		t.Errorf("all %d batches were sent after one was refused", got)
	}
}

func TestPublishTrustsNoAnswerBlindly(t *testing.T) {
	answer := func(response *tidingsv1.PublishStreamResponse) func(*publishStream) error {
		return func(stream *publishStream) error {
			if _, err := stream.Receive(); err != nil {
				return err
			}
			return stream.Send(response)
		}
	}
	receipt := &tidingsv1.PublishResponse{Topic: "plain", Receipts: []*tidingsv1.Receipt{{Index: 7, Sequence: 1}}}
	for want, stream := range map[string]func(*publishStream) error{
		"neither receipts nor an error": answer(new(tidingsv1.PublishStreamResponse)),
		"a receipt for event 7 of a request with 2": answer(&tidingsv1.PublishStreamResponse{
			Result: &tidingsv1.PublishStreamResponse_Published{Published: receipt},
		}),
		"2 events of lines 1 to 2 had no answer": func(stream *publishStream) error {
			_, err := stream.Receive()
			return err
		},
		"a batch that it wasn't sent": func(stream *publishStream) error {
			request, err := stream.Receive()
			if err != nil {
				return err
			}
			if err := store(stream, 0, request); err != nil {
				return err
			}
			return store(stream, 1, request)
		},
	} {
		server := &clitest.Server{OnPublishStream: stream}
		status, _, stderr := server.Run(t, commands, eventLines(2), "publish", "--topic", "plain", "--receipts")
		if status != command.StatusFailed || !strings.Contains(stderr, want) {
			t.Errorf("status %d, said %q, want %q", status, stderr, want)
		}
	}
}
