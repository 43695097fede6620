package deadletter

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command}

// deadLetter is a dead letter of the event with this sequence.
func deadLetter(sequence int64) *tidingsv1.DeadLetter {
	when := timestamppb.New(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	event := clitest.Delivery(sequence).GetRecorded()
	event.PublishTime = when
	return &tidingsv1.DeadLetter{
		Recorded: event, Cause: tidingsv1.DeadLetterCause_DEAD_LETTER_CAUSE_MAX_ATTEMPTS, Attempts: 10,
		LastNackReason: "no\tstock\x1b", FirstAttemptTime: when, DeadLetterTime: when,
	}
}

func TestDeadLetterRequests(t *testing.T) {
	listed := &tidingsv1.ListDeadLettersResponse{}
	clitest.Asks(t, commands, listed, `{"subscription":"work"}`, "dead-letter", "list", "work")
	clitest.Asks(t, commands, listed, `{"subscription":"work","pageSize":7,"filter":{"event":{"eventTypes":["a.B"],"cel":"true","attributes":{"exact":{"values":{"id":"x"}}}},
		"causes":["DEAD_LETTER_CAUSE_NACK","DEAD_LETTER_CAUSE_MAX_ATTEMPTS","DEAD_LETTER_CAUSE_DEADLINE"],
		"since":"2026-11-22T10:00:00Z","before":"2026-11-23T10:00:00Z","sequences":["4097","4098"]}}`,
		"dead-letter", "list", "work", "--limit", "7", "--type", "a.B", "--where", "true", "--attribute", "id=x", "--cause", "nack,max-attempts", "--cause", "deadline",
		"--since", "2026-11-22T10:00:00Z", "--before", "2026-11-23T10:00:00Z", "--sequence", "4097", "--sequence", "4098")
	clitest.Asks(t, commands, listed, `{"subscription":"work","pageSize":1000}`, "dead-letter", "list", "work", "--limit", "5000")
	redriven := &tidingsv1.RedriveDeadLettersResponse{}
	clitest.Asks(t, commands, redriven, `{"subscription":"work"}`, "dead-letter", "redrive", "work")
	clitest.Asks(t, commands, redriven, `{"subscription":"work","dryRun":true,"filter":{"sequences":["1"]}}`, "dead-letter", "redrive", "work", "--dry-run", "--sequence", "1")
	purged := &tidingsv1.PurgeDeadLettersResponse{}
	clitest.Asks(t, commands, purged, `{"subscription":"work"}`, "dead-letter", "purge", "work", "--all")
	clitest.Asks(t, commands, purged, `{"subscription":"work","dryRun":true}`, "dead-letter", "purge", "work", "--dry-run")
	clitest.Asks(t, commands, purged, `{"subscription":"work","filter":{"causes":["DEAD_LETTER_CAUSE_NACK"]}}`, "dead-letter", "purge", "work", "--cause", "nack")
}

func TestPurgeOfEverythingIsAskedForInSoManyWords(t *testing.T) {
	for want, args := range map[string][]string{
		"to delete every dead letter of work, say --all": nil,
		"say --all": {"--where", "", "--filter-json", "{}"},
		"--all excludes the flags that say which dead letters":     {"--all", "--cause", "nack"},
		`--cause: "boredom" is not nack, max-attempts or deadline`: {"--cause", "boredom"},
		`--since: "yesterday" is not a time as`:                    {"--since", "yesterday"},
		`--before: "soon" is not a time as`:                        {"--before", "soon"},
	} {
		server := &clitest.Server{Answers: []proto.Message{&tidingsv1.PurgeDeadLettersResponse{}}}
		status, _, stderr := server.Run(t, commands, "", append([]string{"dead-letter", "purge", "work"}, args...)...)
		if status != command.StatusUsage || !strings.Contains(stderr, want) || len(server.Asked) != 0 {
			t.Errorf("%v: status %d, said %s, asked for %v", args, status, stderr, server.Asked)
		}
	}
}

func TestDeadLettersAreListedPageByPage(t *testing.T) {
	pages := func() *clitest.Server {
		return &clitest.Server{Answers: []proto.Message{
			&tidingsv1.ListDeadLettersResponse{DeadLetters: []*tidingsv1.DeadLetter{deadLetter(1)}, NextPageToken: "p2"},
			&tidingsv1.ListDeadLettersResponse{NextPageToken: "p3"},
			&tidingsv1.ListDeadLettersResponse{DeadLetters: []*tidingsv1.DeadLetter{deadLetter(2), deadLetter(3)}},
		}}
	}
	server := pages()
	status, stdout, stderr := server.Run(t, commands, "", "dead-letter", "list", "work")
	want := `SEQUENCE  TYPE        ID   CAUSE         ATTEMPTS  SINCE                 REASON
1         test.Plain  e-1  max-attempts  10        2026-11-22T10:00:00Z  no stock\u001b
2         test.Plain  e-2  max-attempts  10        2026-11-22T10:00:00Z  no stock\u001b
3         test.Plain  e-3  max-attempts  10        2026-11-22T10:00:00Z  no stock\u001b
`
	if status != command.StatusOK || stdout != want {
		t.Errorf("status %d, said %q, printed\n%s, want\n%s", status, stderr, stdout, want)
	}
	server = pages()
	status, stdout, _ = server.Run(t, commands, "", "dead-letter", "list", "work", "-o", "json", "--limit", "2")
	if status != command.StatusOK || strings.Count(stdout, "\n") != 2 || !strings.HasPrefix(stdout, `{"recorded":{"event":{"id":"e-1","source":"/s","partitionKey":"k","data":{"@type":"t/test.Plain"}},`) {
		t.Errorf("status %d, printed %s", status, stdout)
	}
	var asked []string
	for _, request := range server.Asked {
		asked = append(asked, request.(*tidingsv1.ListDeadLettersRequest).GetPageToken())
	}
	if got := strings.Join(asked, " "); got != " p2 p3" {
		t.Errorf("asked for the pages %q", got)
	}
}

func TestDeadLetterIsShown(t *testing.T) {
	server := &clitest.Server{Answers: []proto.Message{
		&tidingsv1.ListDeadLettersResponse{NextPageToken: "p2"},
		&tidingsv1.ListDeadLettersResponse{DeadLetters: []*tidingsv1.DeadLetter{deadLetter(9)}, NextPageToken: "p3"},
	}}
	status, stdout, stderr := server.Run(t, commands, "", "dead-letter", "show", "work", "9")
	want := `topic:          plain
sequence:       9
published:      2026-11-22T10:00:00Z
cause:          max-attempts
attempts:       10
last reason:    no stock\u001b
first attempt:  2026-11-22T10:00:00Z
dead since:     2026-11-22T10:00:00Z

{
  "id": "e-9",
  "source": "/s",
  "partitionKey": "k",
  "data": {
    "@type": "t/test.Plain"
  }
}
`
	if status != command.StatusOK || stdout != want || len(server.Asked) != 2 {
		t.Errorf("status %d, said %q, printed\n%s, want\n%s", status, stderr, stdout, want)
	}
	if got := server.Asked[0].(*tidingsv1.ListDeadLettersRequest).GetFilter().GetSequences(); len(got) != 1 || got[0] != 9 {
		t.Errorf("asked for %v", got)
	}
	server = &clitest.Server{Answers: []proto.Message{&tidingsv1.ListDeadLettersResponse{}}}
	status, _, stderr = server.Run(t, commands, "", "dead-letter", "show", "work", "9")
	if status != command.StatusNotFound || stderr != "tidings: no dead letter of work has the sequence 9\n" {
		t.Errorf("status %d, said %q", status, stderr)
	}
}

func TestCountsOfDeadLetters(t *testing.T) {
	for want, test := range map[string]struct {
		answer proto.Message
		args   []string
		status int
		stderr string
	}{
		"12 dead letters redriven\n":                          {&tidingsv1.RedriveDeadLettersResponse{RedrivenCount: 12}, []string{"redrive", "work"}, command.StatusOK, ""},
		"1 dead letter redriven\n":                            {&tidingsv1.RedriveDeadLettersResponse{RedrivenCount: 1, RemainingCount: 3}, []string{"redrive", "work"}, command.StatusFailed, "tidings: 3 dead letters left, because too many events are unsettled: redrive again when they have been settled\n"},
		"1 dead letter would be redriven, 3 left for later\n": {&tidingsv1.RedriveDeadLettersResponse{RedrivenCount: 1, RemainingCount: 3}, []string{"redrive", "work", "--dry-run"}, command.StatusOK, ""},
		"2 dead letters deleted\n":                            {&tidingsv1.PurgeDeadLettersResponse{PurgedCount: 2}, []string{"purge", "work", "--all"}, command.StatusOK, ""},
		"0 dead letters would be deleted\n":                   {&tidingsv1.PurgeDeadLettersResponse{}, []string{"purge", "work", "--dry-run"}, command.StatusOK, ""},
	} {
		server := &clitest.Server{Answers: []proto.Message{test.answer}}
		status, stdout, stderr := server.Run(t, commands, "", append([]string{"dead-letter"}, test.args...)...)
		if status != test.status || stdout != want || stderr != test.stderr {
			t.Errorf("%v: status %d, printed %q, said %q", test.args, status, stdout, stderr)
		}
	}
}
