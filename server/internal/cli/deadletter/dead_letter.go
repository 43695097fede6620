// Package deadletter is `tidings dead-letter`.
package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "dead-letter",
		Short: "List, show, redrive and purge the events that a subscription gave up on",
	})
	cmd.AddCommand(
		deadLetterListCommand(a),
		deadLetterShowCommand(a),
		deadLetterRedriveCommand(a),
		deadLetterPurgeCommand(a),
	)
	return cmd
}

// maxDeadLetterPage is the most that a page of ListDeadLetters holds.
const maxDeadLetterPage = 1000

func deadLetterListCommand(a *command.App) *cobra.Command {
	var which deadLetterFlags
	var limit int64
	cmd := &cobra.Command{
		Use:   "list SUBSCRIPTION",
		Short: "List dead letters, the oldest first",
		Args:  command.Arguments("SUBSCRIPTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			if limit < 0 {
				return command.Usagef("--limit: %d is negative", limit)
			}
			request := &tidingsv1.ListDeadLettersRequest{Subscription: args[0]}
			if request.Filter, err = which.filter(cmd, time.Now()); err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			payload := command.NewPayloadTypes(c)
			rows := [][]string{{"SEQUENCE", "TYPE", "ID", "CAUSE", "ATTEMPTS", "SINCE", "REASON"}}
			err = listDeadLetters(c, cmd, request, limit, func(letter *tidingsv1.DeadLetter) error {
				if asJSON {
					return command.PrintWithPayload(cmd, payload, letter)
				}
				rows = append(rows, deadLetterRow(letter))
				return nil
			})
			if err != nil || asJSON {
				return err
			}
			return command.Table(cmd.OutOrStdout(), rows...)
		},
	}
	which.add(cmd)
	cmd.Flags().Int64VarP(&limit, "limit", "n", 0, "list at most this many; 0: all")
	command.AddOutputFlag(cmd)
	return cmd
}

// errEnough ends a listing early.
var errEnough = errors.New("enough")

// listDeadLetters calls each for dead letters, page by page, at most limit
// unless that is 0.
func listDeadLetters(c *command.Client, cmd *cobra.Command, request *tidingsv1.ListDeadLettersRequest, limit int64, each func(*tidingsv1.DeadLetter) error) error {
	listed := int64(0)
	for {
		if limit > 0 {
			request.PageSize = int32(min(limit-listed, maxDeadLetterPage))
		}
		response, err := c.DeadLetters.ListDeadLetters(cmd.Context(), request)
		if err != nil {
			return err
		}
		for _, letter := range response.GetDeadLetters() {
			if err := each(letter); err != nil {
				return err
			}
			listed++
			if limit > 0 && listed >= limit {
				return nil
			}
		}
		if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
			return nil
		}
	}
}

func deadLetterShowCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SUBSCRIPTION SEQUENCE",
		Short: "Show a dead letter and its event",
		Args:  command.Arguments("SUBSCRIPTION", "SEQUENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			sequence, err := command.ParseSequence(args[1])
			if err != nil {
				return command.Usagef("%q is not a sequence", args[1])
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var found *tidingsv1.DeadLetter
			request := &tidingsv1.ListDeadLettersRequest{Subscription: args[0], Filter: &tidingsv1.DeadLetterFilter{Sequences: []int64{sequence}}}
			err = listDeadLetters(c, cmd, request, 0, func(letter *tidingsv1.DeadLetter) error {
				found = letter
				return errEnough
			})
			switch {
			case err != nil && !errors.Is(err, errEnough):
				return err
			case found == nil:
				return command.WithStatus(command.StatusNotFound, fmt.Errorf("no dead letter of %s has the sequence %d", args[0], sequence))
			case asJSON:
				return command.PrintWithPayload(cmd, command.NewPayloadTypes(c), found)
			}
			return showDeadLetter(cmd, command.NewPayloadTypes(c), found)
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func deadLetterRedriveCommand(a *command.App) *cobra.Command {
	var which deadLetterFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "redrive SUBSCRIPTION",
		Short: "Deliver dead letters again, beginning with attempt 1",
		Long: `Deliver dead letters again, beginning with attempt 1: all, or those that the
flags describe. Each stops being a dead letter, and becomes one again if it fails
again.

A subscription has a bounded number of events on their way. Where that leaves
some dead letters, the command says how many and exits with status 1: run it
again when the others have been dealt with.`,
		Args: command.Arguments("SUBSCRIPTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := which.filter(cmd, time.Now())
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			response, err := c.DeadLetters.RedriveDeadLetters(cmd.Context(), &tidingsv1.RedriveDeadLettersRequest{Subscription: args[0], Filter: filter, DryRun: dryRun})
			if err != nil {
				return err
			}
			redriven, left := command.Count(response.GetRedrivenCount(), "dead letter"), command.Count(response.GetRemainingCount(), "dead letter")
			if dryRun {
				fmt.Fprintf(cmd.OutOrStdout(), "%s would be redriven, %d left for later\n", redriven, response.GetRemainingCount())
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s redriven\n", redriven)
			if response.GetRemainingCount() > 0 {
				return fmt.Errorf("%s left, because so many events are on their way: redrive again when they have been dealt with", left)
			}
			return nil
		},
	}
	which.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say how many")
	return cmd
}

func deadLetterPurgeCommand(a *command.App) *cobra.Command {
	var which deadLetterFlags
	var dryRun, all bool
	cmd := &cobra.Command{
		Use:   "purge SUBSCRIPTION",
		Short: "Delete dead letters, for good",
		Long: `Delete dead letters, for good: those that the flags describe or, with --all,
every one. The events stay in the topic for as long as it keeps them.`,
		Args: command.Arguments("SUBSCRIPTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := which.filter(cmd, time.Now())
			switch {
			case err != nil:
				return err
			case all && filter != nil:
				return command.Usagef("--all excludes the flags that say which dead letters")
			case !all && filter == nil && !dryRun:
				return command.Usagef("to delete every dead letter of %s, say --all", args[0])
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			response, err := c.DeadLetters.PurgeDeadLetters(cmd.Context(), &tidingsv1.PurgeDeadLettersRequest{Subscription: args[0], Filter: filter, DryRun: dryRun})
			if err != nil {
				return err
			}
			purged := command.Count(response.GetPurgedCount(), "dead letter")
			if dryRun {
				purged += " would be"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", purged)
			return nil
		},
	}
	which.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "delete every dead letter of the subscription")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say how many")
	return cmd
}

// showDeadLetter prints a dead letter for people: what became of the event, and
// the event.
func showDeadLetter(cmd *cobra.Command, payload *command.PayloadTypes, letter *tidingsv1.DeadLetter) error {
	recorded, out := letter.GetRecorded(), cmd.OutOrStdout()
	text, err := command.ToJSON(cmd.Context(), payload, recorded.GetEvent())
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

func deadLetterRow(letter *tidingsv1.DeadLetter) []string {
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
