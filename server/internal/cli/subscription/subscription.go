// Package subscription is `tidings subscription`.
package subscription

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// Command returns `tidings subscription`.
func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "subscription",
		Short: "Create, show, update, seek and delete subscriptions",
		Long: `Create, show, update, seek and delete subscriptions. A subscription is a durable
position in a topic that consumers share: see tidings consume.`,
		Example: `  tidings subscription create shipping --topic orders
  tidings subscription get shipping`,
	})
	cmd.AddCommand(
		createCommand(a),
		getCommand(a),
		listCommand(a),
		updateCommand(a),
		deleteCommand(a),
		seekCommand(a),
		pauseCommand(a, "pause", "Stop delivering; what is in flight can still be settled", true),
		pauseCommand(a, "resume", "Deliver again after a pause", false),
	)
	return cmd
}

func createCommand(a *command.App) *cobra.Command {
	var settings settingsFlags
	var topic, ordering, from, after string
	var paused bool
	cmd := &cobra.Command{
		Use:   "create NAME --topic TOPIC",
		Short: "Create a subscription",
		Example: `  tidings subscription create shipping --topic orders
  tidings subscription create large --topic orders --from new --ordering key \
    --type shop.orders.v1.OrderPlaced --where 'data.total.minor_units > 10000'`,
		Args: command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if topic == "" {
				return command.Usagef("--topic is missing: the topic whose events are delivered")
			}
			subscription, err := settings.subscription(cmd, args[0])
			if err != nil {
				return err
			}
			subscription.Topic, subscription.Paused = topic, paused
			if subscription.Ordering, err = parseOrdering(ordering); err != nil {
				return err
			}
			request := &tidingsv1.CreateSubscriptionRequest{Subscription: subscription}
			if request.Start, err = command.PositionFlags(cmd, "from", from, after, time.Now()); err != nil {
				return err
			}
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.CreateSubscription(cmd.Context(), request)
				return response.GetSubscription(), err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&topic, "topic", "", "`TOPIC` whose events are delivered; required, and can't be changed later")
	flags.StringVar(&from, "from", "earliest", command.StartHelp)
	flags.StringVar(&after, "after", "", "start after this `CURSOR`, instead of --from")
	flags.StringVar(&ordering, "ordering", "none", "which events wait until an earlier one is settled: none, those with the same partition key, or all. `ORDERING` is none, key or total and can't be changed later")
	settings.add(cmd)
	flags.BoolVar(&paused, "paused", false, "deliver nothing until 'tidings subscription resume'")
	command.AddOutputFlag(cmd)
	return cmd
}

func getCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get NAME",
		Short:   "Show a subscription, its settings and statistics",
		Example: "  tidings subscription get shipping",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.GetSubscription(cmd.Context(), &tidingsv1.GetSubscriptionRequest{Name: args[0]})
				return response.GetSubscription(), err
			})
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func listCommand(a *command.App) *cobra.Command {
	var topic string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List subscriptions",
		Example: "  tidings subscription list --topic orders",
		Args:    command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := command.List[*tidingsv1.Subscription]{
				Heading: []string{"NAME", "TOPIC", "STATE", "ORDERING", "FILTER", "DESCRIPTION"},
				Row: func(s *tidingsv1.Subscription) []string {
					return []string{s.GetName(), s.GetTopic(), state(s), orderingName(s.GetOrdering()), filterText(s.GetFilter()), s.GetDescription()}
				},
				Page: func(c *command.Client, token string) ([]*tidingsv1.Subscription, string, error) {
					response, err := c.Subscriptions.ListSubscriptions(cmd.Context(), &tidingsv1.ListSubscriptionsRequest{Topic: topic, PageToken: token})
					return response.GetSubscriptions(), response.GetNextPageToken(), err
				},
			}
			return list.Print(cmd, a)
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only subscriptions of this `TOPIC`")
	command.AddOutputFlag(cmd)
	return cmd
}

func updateCommand(a *command.App) *cobra.Command {
	var settings settingsFlags
	var everyEvent bool
	var etag string
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Update the settings of a subscription for which flags are given",
		Long: `Update the settings of a subscription for which flags are given. The filter is
one setting: its flags together replace it as a whole.`,
		Example: `  tidings subscription update shipping --max-attempts 20 --max-backoff 15m
  tidings subscription update large --no-filter`,
		Args: command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			subscription, err := settings.subscription(cmd, args[0])
			if err != nil {
				return err
			}
			request := &tidingsv1.UpdateSubscriptionRequest{Subscription: subscription, UpdateMask: settings.changed(cmd)}
			request.Subscription.Etag = etag
			if everyEvent {
				if subscription.GetFilter() != nil {
					return command.Usagef("--no-filter excludes the filter flags")
				}
				request.UpdateMask.Paths = append(request.UpdateMask.Paths, "filter")
			}
			if len(request.GetUpdateMask().GetPaths()) == 0 {
				return command.Usagef("nothing to change: no flag names a setting")
			}
			return show(cmd, a, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.UpdateSubscription(cmd.Context(), request)
				return response.GetSubscription(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().BoolVar(&everyEvent, "no-filter", false, "remove the filter: deliver all events")
	cmd.Flags().StringVar(&etag, "etag", "", "update the subscription only if this is its current `ETAG`")
	command.AddOutputFlag(cmd)
	return cmd
}

func pauseCommand(a *command.App, name, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use:     name + " NAME",
		Short:   short,
		Example: "  tidings subscription " + name + " shipping",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			_, err = c.Subscriptions.UpdateSubscription(cmd.Context(), &tidingsv1.UpdateSubscriptionRequest{
				Subscription: &tidingsv1.Subscription{Name: args[0], Paused: paused},
				UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"paused"}},
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %sd\n", args[0], name)
			return nil
		},
	}
}

func deleteCommand(a *command.App) *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a subscription and its dead letters permanently",
		Example: "  tidings subscription delete shipping",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			if _, err := c.Subscriptions.DeleteSubscription(cmd.Context(), &tidingsv1.DeleteSubscriptionRequest{Name: args[0], Etag: etag}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&etag, "etag", "", "delete the subscription only if this is its current `ETAG`")
	return cmd
}

func seekCommand(a *command.App) *cobra.Command {
	var to, after string
	cmd := &cobra.Command{
		Use:   "seek NAME --to POSITION | --after CURSOR",
		Short: "Move a subscription to another position in its topic",
		Long: `Move a subscription to another position in its topic: all events from there on
are delivered, also those that were before, and none of the earlier ones. Events
in flight can't be settled any more. Dead letters stay.`,
		Example: `  tidings subscription seek shipping --to 2026-11-22T10:00:00Z
  tidings subscription seek shipping --to latest`,
		Args: command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" && after == "" {
				return command.Usagef("--to or --after is missing: the position to seek to")
			}
			position, err := command.PositionFlags(cmd, "to", to, after, time.Now())
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			response, err := c.Subscriptions.SeekSubscription(cmd.Context(), &tidingsv1.SeekSubscriptionRequest{Name: args[0], Position: position})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s continues after the cursor %s\n", args[0], command.Printable(response.GetCursor()))
			if previous := response.GetPreviousCursor(); previous != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "to undo this: tidings subscription seek %s --after %s\n", args[0], command.Printable(previous))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", command.SeekHelp)
	cmd.Flags().StringVar(&after, "after", "", "seek to just after this `CURSOR`, instead of --to")
	return cmd
}
