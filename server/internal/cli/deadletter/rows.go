package deadletter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// show prints a dead letter for people: what became of the event, and
// the event.
func show(cmd *cobra.Command, c *command.Client, letter *tidingsv1.DeadLetter) error {
	recorded, out := letter.GetRecorded(), cmd.OutOrStdout()
	text, err := command.ToJSON(cmd.Context(), command.NewPayloadTypes(c), recorded.GetEvent())
	if err != nil {
		return err
	}
	var event bytes.Buffer
	if err := json.Indent(&event, text, "", "  "); err != nil {
		return err
	}
	rows := [][]string{
		{"topic:", recorded.GetTopic()},
		{"sequence:", strconv.FormatInt(recorded.GetSequence(), 10)},
		{"published:", recorded.GetPublishTime().AsTime().Format(time.RFC3339Nano)},
		{"cause:", causeName(letter.GetCause())},
		{"attempts:", strconv.Itoa(int(letter.GetAttempts()))},
		{"last reason:", letter.GetLastNackReason()},
	}
	if letter.GetFirstAttemptTime() != nil {
		rows = append(rows, []string{"first attempt:", letter.GetFirstAttemptTime().AsTime().Format(time.RFC3339Nano)})
	}
	rows = append(rows, []string{"dead since:", letter.GetDeadLetterTime().AsTime().Format(time.RFC3339Nano)})
	if err := command.Table(out, rows...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%s\n", event.Bytes())
	return err
}

func row(letter *tidingsv1.DeadLetter) []string {
	recorded := letter.GetRecorded()
	return []string{
		strconv.FormatInt(recorded.GetSequence(), 10),
		command.TypeName(recorded.GetEvent().GetData().GetTypeUrl()),
		recorded.GetEvent().GetId(),
		causeName(letter.GetCause()),
		strconv.Itoa(int(letter.GetAttempts())),
		letter.GetDeadLetterTime().AsTime().Format(time.RFC3339),
		letter.GetLastNackReason(),
	}
}

func causeName(c tidingsv1.DeadLetterCause) string {
	name := strings.TrimPrefix(c.String(), "DEAD_LETTER_CAUSE_")
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}
