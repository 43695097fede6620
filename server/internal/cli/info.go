package cli

import (
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// durabilities says what a receipt means.
var durabilities = map[tidingsv1.Durability]string{
	tidingsv1.Durability_DURABILITY_PROCESS: "process (a stored event survives the end of the server process)",
	tidingsv1.Durability_DURABILITY_MACHINE: "machine (a stored event survives the end of the machine)",
	tidingsv1.Durability_DURABILITY_NODE:    "node (a stored event survives the loss of a machine with its disk)",
}

func infoCommand(a *command.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show the server's version, limits and features",
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
			info, err := c.Info.GetServerInfo(cmd.Context(), &tidingsv1.GetServerInfoRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return command.PrintJSON(cmd, info)
			}
			return command.Table(cmd.OutOrStdout(), infoRows(c.Server, info)...)
		},
	}
	command.AddOutputFlag(cmd)
	return cmd
}

func infoRows(server string, info *tidingsv1.GetServerInfoResponse) [][]string {
	durability, ok := durabilities[info.GetDurability()]
	if !ok {
		durability = info.GetDurability().String()
	}
	limits := info.GetLimits()
	return [][]string{
		{"server:", server},
		{"version:", info.GetVersion()},
		{"durability:", durability},
		{"largest request:", command.Count(limits.GetMaxRequestBytes(), "byte")},
		{"largest event:", command.Count(limits.GetMaxEventBytes(), "byte")},
		{"events per request:", strconv.Itoa(int(limits.GetMaxEventsPerRequest()))},
		{"with dedupe by event:", strconv.Itoa(int(limits.GetMaxEventsPerDedupeEventRequest()))},
		{"unsettled events:", strconv.Itoa(int(limits.GetMaxUnsettledEvents()))},
		{"window:", command.Count(int64(limits.GetMaxWindowEvents()), "event") + ", " + command.Count(limits.GetMaxWindowBytes(), "byte")},
		{"settlements per request:", strconv.Itoa(int(limits.GetMaxSettlementsPerRequest()))},
		{"topics:", bound(limits.GetMaxTopics())},
		{"subscriptions:", bound(limits.GetMaxSubscriptions())},
		{"features:", strings.Join(info.GetFeatures(), ", ")},
	}
}

// bound is a limit of which 0 is none.
func bound(limit int32) string {
	if limit == 0 {
		return "no bound"
	}
	return "at most " + strconv.Itoa(int(limit))
}

func versionCommand(a *command.App) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this command",
		Args:  command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), a.VersionLine())
			return err
		},
	}
}
