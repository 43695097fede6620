package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
	"example.com/tidings/server/internal/cli/command"
)

func checkCommand(a *command.App) *cobra.Command {
	var source sourceFlags
	cmd := &cobra.Command{
		Use:   "check " + sourceUse,
		Short: "Check whether schemas are compatible",
		Long: `Check whether schemas are compatible with the server's, and register nothing.

They are compared with every revision of the server's schemas that is still
live. The exit status is 3 if they would break readers or writers of events.

` + sourceHelp,
		Example: `  tidings schema check events
  tidings schema check image.binpb --output json`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			var local *localSchemas
			var incompatible int
			check := func(c *command.Client) (_ *tidingsv1beta1.CheckCompatibilityResponse, err error) {
				if local, err = source.read(cmd, args); err != nil {
					return nil, err
				}
				request := &tidingsv1beta1.CheckCompatibilityRequest{Image: local.image}
				if err := checkSize(cmd.Context(), c, request); err != nil {
					return nil, err
				}
				response, err := c.Registry.CheckCompatibility(cmd.Context(), request)
				incompatible = len(response.GetViolations())
				return response, err
			}
			err := command.Show(cmd, a, check, func(_ *command.Client, response *tidingsv1beta1.CheckCompatibilityResponse) error {
				return printVerdict(cmd, local, response)
			})
			if err == nil && incompatible > 0 {
				err = command.WithStatus(command.StatusRefused, errors.New(command.Count(int64(incompatible), "incompatible change")))
			}
			return err
		},
	}
	source.addFlags(cmd)
	command.AddOutputFlag(cmd)
	return cmd
}

func printVerdict(cmd *cobra.Command, local *localSchemas, response *tidingsv1beta1.CheckCompatibilityResponse) error {
	var breaks []incompatibility
	for _, v := range response.GetViolations() {
		breaks = append(breaks, incompatibility{
			file: v.GetFile(), line: int(v.GetLine()), message: v.GetMessage(),
			rule: v.GetRuleId(), element: v.GetElement(), against: v.GetAgainstRevision(),
		})
	}
	local.locate(cmd.Context(), breaks)
	for _, b := range breaks {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), b); err != nil {
			return err
		}
	}
	if len(breaks) > 0 {
		return nil
	}
	text := fmt.Sprintf("compatible: revision %s would become %s", response.GetRevision(), response.GetRevisionAfter())
	if response.GetRevision() == response.GetRevisionAfter() {
		text = "nothing to change: the server has these schemas, revision " + response.GetRevision()
	}
	if n := response.GetComparedRevisions(); n > 0 {
		text += fmt.Sprintf(" (compared with %s)", command.Count(int64(n), "live revision"))
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), command.Printable(text))
	return err
}

// incompatibility is a change that would break somebody.
type incompatibility struct {
	file string // In the image, until it is located. Empty: it has gone.
	line int    // 0: not known.

	message, rule, element, against string // Empty: not said.
}

func (i incompatibility) String() string {
	var place string
	switch {
	case i.file == "":
	case i.line == 0:
		place = i.file + ": "
	default:
		place = fmt.Sprintf("%s:%d: ", i.file, i.line)
	}
	var about []string
	for _, part := range []string{i.rule, i.element, i.against} {
		if part != "" {
			about = append(about, part)
		}
	}
	if i.against != "" {
		about[len(about)-1] = "against revision " + i.against
	}
	text := place + i.message
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	return command.OneLine(text)
}

// locate replaces the names of files in the image by their paths from here,
// where they are known.
func (l *localSchemas) locate(ctx context.Context, breaks []incompatibility) {
	if l.workspace == nil || len(breaks) == 0 {
		return
	}
	paths := l.workspace.paths(ctx)
	for i, b := range breaks {
		breaks[i].file = cmp.Or(paths[b.file], b.file)
	}
}
