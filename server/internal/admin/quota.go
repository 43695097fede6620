package admin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/cli/command"
)

// limitLine is a limit of a principal, as JSON. The limit is missing where the
// settings of the server have it, and 0 where there is no bound.
type limitLine struct {
	Quota   string `json:"quota"`
	Limit   *int64 `json:"limit,omitempty"`
	From    string `json:"from"`
	Pattern string `json:"pattern,omitempty"`
}

func quotaPolicyCommand() *cobra.Command {
	var groups []string
	cmd := &cobra.Command{
		Use:   "quota FILE PRINCIPAL",
		Short: "Say how much a principal may use, and which entry says so",
		Long: `Say how much a principal may use, and which entry says so.

The first entry of quotas in the file that is for the principal holds, with all
its limits. Where none is, the flags of the server hold, which begin with
--quota-.

As JSON there is an object for each limit. 0 means no bound, and a limit that
isn't there is for the server's flag to say.`,
		Example: `  tidings policy quota access.yaml key:checkout
  tidings policy quota access.yaml corp:ada --group corp:analysts --output json`,
		Args: command.Arguments("FILE", "PRINCIPAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			file, err := auth.ReadFile(args[0])
			if err != nil {
				return err
			}
			var lines []limitLine
			for _, source := range file.Quotas.Explain(auth.Principal{Name: args[1], Groups: groups}) {
				lines = append(lines, newLimitLine(source))
			}
			if asJSON {
				return printLimits(cmd, lines)
			}
			return tabulateLimits(cmd, lines)
		},
	}
	groupFlag(cmd, &groups)
	command.AddOutputFlag(cmd)
	return cmd
}

func newLimitLine(source auth.QuotaSource) limitLine {
	if source.Entry == "" {
		return limitLine{Quota: source.Name, From: "--quota-" + strings.TrimSuffix(source.Name, "_per_second")}
	}
	return limitLine{source.Name, &source.Limit, source.Entry, source.Pattern}
}

func printLimits(cmd *cobra.Command, lines []limitLine) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func tabulateLimits(cmd *cobra.Command, lines []limitLine) error {
	rows := [][]string{{"QUOTA", "LIMIT", "FROM"}}
	for _, line := range lines {
		limit, from := "no bound", fmt.Sprintf("%s, for %q", line.From, line.Pattern)
		switch {
		case line.Limit == nil:
			limit, from = "the server's", line.From
		case *line.Limit > 0:
			limit = strconv.FormatInt(*line.Limit, 10)
		}
		rows = append(rows, []string{line.Quota, limit, from})
	}
	return command.Table(cmd.OutOrStdout(), rows...)
}
