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
		Use:     "info",
		Short:   "Show the server's version, limits and features",
		Args:    command.Arguments(),
		Example: "  tidings info --server grpc://127.0.0.1:7071",
		RunE: func(cmd *cobra.Command, _ []string) error {
			get := func(c *command.Client) (*tidingsv1.GetServerInfoResponse, error) {
				return c.Info.GetServerInfo(cmd.Context(), &tidingsv1.GetServerInfoRequest{})
			}
			return command.Show(cmd, a, get, func(c *command.Client, info *tidingsv1.GetServerInfoResponse) error {
				return command.Table(cmd.OutOrStdout(), infoRows(c.Server, info)...)
			})
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
		{"calls of a connection:", bound(limits.GetMaxCallsPerConnection())},
		{"headers of a call:", command.Count(int64(limits.GetMaxHeaderBytes()), "byte")},
		{"your quota:", quotaText(info.GetQuota())},
		{"features:", strings.Join(info.GetFeatures(), ", ")},
	}
}

// quotaText says what the caller may use.
func quotaText(quota *tidingsv1.Quota) string {
	var parts []string
	for _, part := range []struct {
		limit      int64
		unit, each string
	}{
		{quota.GetRequestsPerSecond(), "request", " a second"}, {quota.GetEventsPerSecond(), "event", " a second"},
		{quota.GetBytesPerSecond(), "byte", " a second"}, {quota.GetStreams(), "stream", " at a time"},
	} {
		if part.limit > 0 {
			parts = append(parts, command.Count(part.limit, part.unit)+part.each)
		}
	}
	if len(parts) == 0 {
		return "no bound"
	}
	return strings.Join(parts, ", ")
}

// bound is a limit of which 0 is none.
func bound(limit int32) string {
	if limit == 0 {
		return "no bound"
	}
	return "at most " + strconv.Itoa(int(limit))
}

func versionCommand(surroundings Program) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this command",
		Example: "  tidings version",
		Args:    command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), surroundings.VersionLine())
			return err
		},
	}
}
