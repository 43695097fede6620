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
	tidingsv1.Durability_DURABILITY_PROCESS: "written (a stored event survives the server process)",
	tidingsv1.Durability_DURABILITY_MACHINE: "fsync (a stored event survives the machine)",
	tidingsv1.Durability_DURABILITY_NODE:    "external (as the NATS servers are set)",
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
		{"features:", strings.Join(info.GetFeatures(), ", ")},
	}
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
