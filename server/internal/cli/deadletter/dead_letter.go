// Package deadletter is `tidings dead-letter`.
package deadletter

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings dead-letter`.
func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "dead-letter",
		Short: "List, show, redrive and purge dead letters",
		Long: `List, show, redrive and purge the dead letters of a subscription: the events
that it no longer delivers.`,
		Example: `  tidings dead-letter list shipping
  tidings dead-letter redrive shipping --cause max-attempts`,
	})
	cmd.AddCommand(
		listCommand(a),
		showCommand(a),
		redriveCommand(a),
		purgeCommand(a),
	)
	return cmd
}

// maxPage is the most that a page of ListDeadLetters holds.
const maxPage = 1000

// pages returns the pages of a request, for command.Pages.
func pages(cmd *cobra.Command, c *command.Client, request *tidingsv1.ListDeadLettersRequest) func(token string) ([]*tidingsv1.DeadLetter, string, error) {
	return func(token string) ([]*tidingsv1.DeadLetter, string, error) {
		request.PageToken = token
		response, err := c.DeadLetters.ListDeadLetters(cmd.Context(), request)
		return response.GetDeadLetters(), response.GetNextPageToken(), err
	}
}

func listCommand(a *command.App) *cobra.Command {
	var which whichFlags
	var limit int64
	cmd := &cobra.Command{
		Use:   "list SUBSCRIPTION",
		Short: "List dead letters, oldest first",
		Example: `  tidings dead-letter list shipping
  tidings dead-letter list shipping --since 1d --type shop.orders.v1.OrderPlaced`,
		Args: command.Arguments("SUBSCRIPTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return command.Usagef("--limit: %d is negative", limit)
			}
			filter, err := which.filter(cmd, time.Now())
			if err != nil {
				return err
			}
			request := &tidingsv1.ListDeadLettersRequest{Subscription: args[0], Filter: filter, PageSize: int32(min(limit, maxPage))}
			list := command.List[*tidingsv1.DeadLetter]{
				Heading: []string{"SEQUENCE", "TYPE", "ID", "CAUSE", "ATTEMPTS", "SINCE", "REASON"},
				Row:     row,
				Limit:   limit,
				Page: func(c *command.Client, token string) ([]*tidingsv1.DeadLetter, string, error) {
					return pages(cmd, c, request)(token)
				},
			}
			return list.Print(cmd, a)
		},
	}
	which.add(cmd)
	cmd.Flags().Int64VarP(&limit, "limit", "n", 0, "list at most this `NUMBER`; 0: all")
	command.AddOutputFlag(cmd)
	return cmd
}

func showCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show SUBSCRIPTION SEQUENCE",
		Short:   "Show a dead letter and its event",
		Example: "  tidings dead-letter show shipping 4097",
		Args:    command.Arguments("SUBSCRIPTION", "SEQUENCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequence, err := command.ParseSequence(args[1])
			if err != nil {
				return command.Usagef("%q is not a sequence", args[1])
			}
			request := &tidingsv1.ListDeadLettersRequest{Subscription: args[0], Filter: &tidingsv1.DeadLetterFilter{Sequences: []int64{sequence}}}
			find := func(c *command.Client) (*tidingsv1.DeadLetter, error) {
				for letter, err := range command.Pages(pages(cmd, c, request)) {
					return letter, err
				}
				return nil, command.WithStatus(command.StatusNotFound, fmt.Errorf("no dead letter of %s has the sequence %d", args[0], sequence))
			}
			return command.Show(cmd, a, find, func(c *command.Client, letter *tidingsv1.DeadLetter) error {
				return show(cmd, c, letter)
			})
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func redriveCommand(a *command.App) *cobra.Command {
	var which whichFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "redrive SUBSCRIPTION",
		Short: "Deliver dead letters again, from attempt 1",
		Long: `Deliver dead letters again, from attempt 1: all, or those that the flags select.
Each stops being a dead letter, and becomes one again if it fails again.

A subscription holds a limited number of unsettled events. Where that leaves
some dead letters, the command says how many and exits with status 1: run it
again when the others have been settled.`,
		Example: `  tidings dead-letter redrive shipping --dry-run
  tidings dead-letter redrive shipping --cause max-attempts --since 1d`,
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
				return fmt.Errorf("%s left, because too many events are unsettled: redrive again when they have been settled", left)
			}
			return nil
		},
	}
	which.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print how many")
	return cmd
}

func purgeCommand(a *command.App) *cobra.Command {
	var which whichFlags
	var dryRun, all bool
	cmd := &cobra.Command{
		Use:   "purge SUBSCRIPTION",
		Short: "Delete dead letters permanently",
		Long: `Delete dead letters permanently: those that the flags select or, with --all,
all. The events stay in the topic for as long as its retention says.`,
		Example: `  tidings dead-letter purge shipping --before 90d
  tidings dead-letter purge shipping --all`,
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
	cmd.Flags().BoolVar(&all, "all", false, "delete all dead letters of the subscription")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only print how many")
	return cmd
}
