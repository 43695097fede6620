package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/cli/command"
)

func policyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "policy",
		Short: "Check an access file and explain what it allows",
		Example: `  tidings policy check access.yaml
  tidings policy explain access.yaml key:checkout publish --topic orders
  tidings policy quota access.yaml key:checkout`,
	}, checkPolicyCommand(), explainPolicyCommand(), quotaPolicyCommand())
}

func checkPolicyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Check an access file and the files that it names",
		Example: "  tidings policy check access.yaml",
		Args:    command.Arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := auth.ReadFile(args[0])
			if err == nil && file.APIKeys != "" {
				_, err = auth.ReadKeys(file.APIKeys)
			}
			if err != nil {
				return err
			}
			grants, quotas := command.Count(int64(len(file.Grants)), "grant"), command.Count(int64(len(file.Quotas)), "quota")
			fmt.Fprintf(cmd.OutOrStdout(), "%s is in order: %s, %s\n", args[0], grants, quotas)
			return nil
		},
	}
}

// actions are those that a policy can be asked about.
var actions = []auth.Action{auth.Publish, auth.Read, auth.Consume, auth.Manage, auth.Schema, auth.Monitor}

func explainPolicyCommand() *cobra.Command {
	var permission auth.Permission
	var groups []string
	cmd := &cobra.Command{
		Use:   "explain FILE PRINCIPAL ACTION",
		Short: "Say whether a principal may do something, and which grant says so",
		Long: `Say whether a principal may do something, and which grant says so.

PRINCIPAL is key:NAME for an API key, cert:NAME for a client certificate, or
ISSUER:NAME for a token. ACTION is publish, read, consume, manage, schema or
monitor. The exit status is 1 where it is denied. How much of it a principal may do
is for tidings policy quota.`,
		Example: `  tidings policy explain access.yaml key:checkout publish --topic orders
  tidings policy explain access.yaml corp:ada consume --group corp:payments --subscription billing`,
		Args: command.Arguments("FILE", "PRINCIPAL", "ACTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := auth.ReadFile(args[0])
			if err != nil {
				return err
			}
			permission.Action = auth.Action(args[2])
			if !slices.Contains(actions, permission.Action) {
				return command.Usagef("ACTION: %q is not publish, read, consume, manage, schema or monitor", args[2])
			}
			if err := fits(permission); err != nil {
				return err
			}
			principal := auth.Principal{Name: args[1], Groups: groups}
			i, ok := file.Grants.Allows(principal, permission)
			if !ok {
				return fmt.Errorf("denied: no grant lets %s %s", principal.Name, permission)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "allowed: grants[%d] lets %s %s\n", i, principal.Name, permission)
			return nil
		},
	}
	cmd.Flags().StringVar(&permission.Topic, "topic", "", "`NAME` of the topic")
	cmd.Flags().StringVar(&permission.Subscription, "subscription", "", "`NAME` of the subscription")
	cmd.Flags().StringVar(&permission.EventType, "event-type", "", "full `NAME` of the type of an event that is published")
	groupFlag(cmd, &groups)
	return cmd
}

func groupFlag(cmd *cobra.Command, groups *[]string) {
	cmd.Flags().StringSliceVar(groups, "group", nil, "`NAME` of a group of the principal, as ISSUER:GROUP; may be given several times")
}

// fits refuses a resource that an action isn't about.
func fits(p auth.Permission) error {
	var wanted []string
	switch p.Action {
	case auth.Publish, auth.Read:
		wanted = []string{"--topic"}
	case auth.Consume:
		wanted = []string{"--subscription"}
	case auth.Manage:
		wanted = []string{"--topic", "--subscription"}
	default: // Of the server.
	}
	var given []string
	if p.Topic != "" {
		given = append(given, "--topic")
	}
	if p.Subscription != "" {
		given = append(given, "--subscription")
	}
	switch {
	case len(given) > 1, len(given) == 1 && !slices.Contains(wanted, given[0]), len(given) == 0 && len(wanted) > 0:
		if len(wanted) == 0 {
			return command.Usagef("%s is about the server, without %s", p.Action, strings.Join(given, " and "))
		}
		return command.Usagef("%s needs one of %s", p.Action, strings.Join(wanted, ", "))
	case p.EventType != "" && p.Action != auth.Publish:
		return command.Usagef("--event-type is for publish alone")
	}
	return nil
}
