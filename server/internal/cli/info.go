package cli

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// durabilities says what a receipt means.
var durabilities = map[tidingsv1.Durability]string{
	tidingsv1.Durability_DURABILITY_PROCESS: "process (a stored event survives the end of the server process)",
	tidingsv1.Durability_DURABILITY_MACHINE: "machine (a stored event survives the end of the machine)",
	tidingsv1.Durability_DURABILITY_NODE:    "node (a stored event survives the loss of a machine with its disk)",
}

func (a *app) infoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show the server's version, limits and features",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			info, err := c.info.GetServerInfo(cmd.Context(), &tidingsv1.GetServerInfoRequest{})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, info)
			}
			return table(cmd.OutOrStdout(), infoRows(c.server, info)...)
		},
	}
	addOutputFlag(cmd)
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
		{"largest request:", count(limits.GetMaxRequestBytes(), "byte")},
		{"largest event:", count(limits.GetMaxEventBytes(), "byte")},
		{"events per request:", strconv.Itoa(int(limits.GetMaxEventsPerRequest()))},
		{"with dedupe by event:", strconv.Itoa(int(limits.GetMaxEventsPerDedupeEventRequest()))},
		{"unsettled events:", strconv.Itoa(int(limits.GetMaxUnsettledEvents()))},
		{"window:", count(int64(limits.GetMaxWindowEvents()), "event") + ", " + count(limits.GetMaxWindowBytes(), "byte")},
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

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this command",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), a.versionLine())
			return err
		},
	}
}

// versionLine is what `tidings version` and `tidings --version` print.
func (a *app) versionLine() string {
	return fmt.Sprintf("tidings %s (%s %s/%s)\n", a.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
