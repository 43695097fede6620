package schema

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
	"example.com/tidings/server/internal/cli/command"
)

func schemaCheckCommand(a *command.App) *cobra.Command {
	var source schemaSource
	cmd := &cobra.Command{
		Use:   "check " + schemaUse,
		Short: "Say what schemas would break on the server",
		Long: `Say what schemas would break on the server, and change nothing.

They are compared with every revision of the server's schemas that is still
live. The exit status is 3 if they would break readers or writers of events.

` + schemaSourceHelp,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := command.WantsJSON(cmd)
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			local, err := source.read(cmd, args)
			if err != nil {
				return err
			}
			request := &tidingsv1beta1.CheckCompatibilityRequest{Image: local.image}
			if err := checkSize(cmd.Context(), c, request); err != nil {
				return err
			}
			response, err := c.Registry.CheckCompatibility(cmd.Context(), request)
			if err != nil {
				return err
			}
			if asJSON {
				err = command.PrintJSON(cmd, response)
			} else {
				err = printVerdict(cmd, local, response)
			}
			if n := len(response.GetViolations()); err == nil && n > 0 {
				err = command.WithStatus(command.StatusRefused, fmt.Errorf("%s", command.Count(int64(n), "incompatible change")))
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
