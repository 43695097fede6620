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

func Command(a *command.App) *cobra.Command {
	cmd := command.Group(&cobra.Command{
		Use:   "subscription",
		Short: "Create, show, change, move and delete subscriptions",
		Long: `Create, show, change, move and delete subscriptions. A subscription is a durable
position in a topic that consumers share: see tidings consume.`,
	})
	cmd.AddCommand(
		subscriptionCreateCommand(a),
		subscriptionGetCommand(a),
		subscriptionListCommand(a),
		subscriptionUpdateCommand(a),
		subscriptionDeleteCommand(a),
		subscriptionSeekCommand(a),
		subscriptionPauseCommand(a, "pause", "Stop delivering. What has been delivered can be settled", true),
		subscriptionPauseCommand(a, "resume", "Deliver again after a pause", false),
	)
	return cmd
}

func subscriptionCreateCommand(a *command.App) *cobra.Command {
	var settings subscriptionFlags
	var topic, ordering, from, after string
	var paused bool
	cmd := &cobra.Command{
		Use:   "create NAME --topic TOPIC",
		Short: "Create a subscription",
		Args:  command.Arguments("NAME"),
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
			return showSubscription(a, cmd, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.CreateSubscription(cmd.Context(), request)
				return response.GetSubscription(), err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&topic, "topic", "", "`name` of the topic whose events are delivered. Required; it can't be changed later")
	flags.StringVar(&from, "from", "earliest", "`position` to begin at: earliest, latest, new, "+command.PositionHelp)
	flags.StringVar(&after, "after", "", "`cursor` to begin after, instead of --from")
	flags.StringVar(&ordering, "ordering", "none", "which events wait for an earlier one to be settled: `none`, key (those of its partition key) or total (every one). It can't be changed later")
	settings.add(cmd)
	flags.BoolVar(&paused, "paused", false, "deliver nothing until tidings subscription resume")
	command.AddOutputFlag(cmd)
	return cmd
}

func subscriptionGetCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Show a subscription and how far its consumers are",
		Args:  command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showSubscription(a, cmd, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.GetSubscription(cmd.Context(), &tidingsv1.GetSubscriptionRequest{Name: args[0]})
				return response.GetSubscription(), err
			})
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func subscriptionListCommand(a *command.App) *cobra.Command {
	var topic string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the subscriptions",
		Args:  command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			rows := [][]string{{"NAME", "TOPIC", "STATE", "ORDERING", "FILTER", "DESCRIPTION"}}
			request := &tidingsv1.ListSubscriptionsRequest{Topic: topic}
			for {
				response, err := c.Subscriptions.ListSubscriptions(cmd.Context(), request)
				if err != nil {
					return err
				}
				if asJSON {
					if err := command.PrintJSON(cmd, response.GetSubscriptions()...); err != nil {
						return err
					}
				}
				for _, s := range response.GetSubscriptions() {
					rows = append(rows, []string{s.GetName(), s.GetTopic(), subscriptionState(s), orderingName(s.GetOrdering()), filterText(s.GetFilter()), s.GetDescription()})
				}
				if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
					break
				}
			}
			if asJSON {
				return nil
			}
			return command.Table(cmd.OutOrStdout(), rows...)
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only those of the topic with this `name`")
	command.AddOutputFlag(cmd)
	return cmd
}

func subscriptionUpdateCommand(a *command.App) *cobra.Command {
	var settings subscriptionFlags
	var everyEvent bool
	var etag string
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change the settings of a subscription that the flags name",
		Long: `Change the settings of a subscription that the flags name. The filter is one
setting: its flags together replace it as a whole.`,
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
			return showSubscription(a, cmd, func(c *command.Client) (*tidingsv1.Subscription, error) {
				response, err := c.Subscriptions.UpdateSubscription(cmd.Context(), request)
				return response.GetSubscription(), err
			})
		},
	}
	settings.add(cmd)
	cmd.Flags().BoolVar(&everyEvent, "no-filter", false, "deliver every event from now on")
	cmd.Flags().StringVar(&etag, "etag", "", "change the subscription only if this is its present etag")
	command.AddOutputFlag(cmd)
	return cmd
}

func subscriptionPauseCommand(a *command.App, name, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " NAME",
		Short: short,
		Args:  command.Arguments("NAME"),
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

func subscriptionDeleteCommand(a *command.App) *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a subscription and its dead letters, for good",
		Args:  command.Arguments("NAME"),
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
	cmd.Flags().StringVar(&etag, "etag", "", "delete the subscription only if this is its present etag")
	return cmd
}

func subscriptionSeekCommand(a *command.App) *cobra.Command {
	var to, after string
	cmd := &cobra.Command{
		Use:   "seek NAME --to POSITION | --after CURSOR",
		Short: "Move a subscription: deliver everything from a position on, and nothing before",
		Long: `Move a subscription: everything from the position on is delivered, again or for
the first time, and nothing before. What consumers have in hand can't be settled
any more. Dead letters stay.`,
		Args: command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" && after == "" {
				return command.Usagef("--to or --after must say where to go on")
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
			fmt.Fprintf(cmd.OutOrStdout(), "%s goes on after the cursor %s\n", args[0], command.Printable(response.GetCursor()))
			if previous := response.GetPreviousCursor(); previous != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "the way back: tidings subscription seek %s --after %s\n", args[0], command.Printable(previous))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`position` to go on at: earliest, latest, new, "+command.PositionHelp)
	cmd.Flags().StringVar(&after, "after", "", "`cursor` to go on after, instead of --to")
	return cmd
}
