package schema

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
	"example.com/tidings/server/internal/cli/command"
)

func pushCommand(a *command.App) *cobra.Command {
	var source sourceFlags
	request := new(tidingsv1beta1.RegisterSchemaRequest)
	cmd := &cobra.Command{
		Use:   "push " + sourceUse,
		Short: "Register schemas if compatible",
		Long: `Register schemas if they are compatible: new event types, and new versions of
registered ones.

All replicas of the server get them, and keep them over restarts. Registered
files that aren't among them stay. The exit status is 3, and nothing is
registered, if they would break readers or writers of events.

` + sourceHelp,
		Example: `  tidings schema push events
  buf build -o image.binpb && tidings schema push image.binpb`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			register := func(c *command.Client) (*tidingsv1beta1.RegisterSchemaResponse, error) {
				local, err := source.read(cmd, args)
				if err != nil {
					return nil, err
				}
				request.Image = local.image
				if err := checkSize(cmd.Context(), c, request); err != nil {
					return nil, err
				}
				response, err := c.Registry.RegisterSchema(cmd.Context(), request)
				if err != nil {
					return nil, local.refused(cmd, err)
				}
				return response, nil
			}
			return command.Show(cmd, a, register, func(_ *command.Client, response *tidingsv1beta1.RegisterSchemaResponse) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: revision %s\n",
					pushOutcome(response.GetOutcome(), request.GetValidateOnly()), command.Printable(response.GetRevision()))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&request.ValidateOnly, "validate-only", false, "check, and register nothing")
	cmd.Flags().StringVar(&request.ExpectedRevision, "expected-revision", "", "register only if this is the current `REVISION` of the server's schemas")
	source.addFlags(cmd)
	command.AddOutputFlag(cmd)
	return cmd
}

func pushOutcome(outcome tidingsv1beta1.Outcome, validateOnly bool) string {
	switch {
	case outcome == tidingsv1beta1.Outcome_OUTCOME_UNCHANGED:
		return "unchanged"
	case validateOnly:
		return "would be registered"
	default:
		return "registered"
	}
}

// refused turns the error for incompatible schemas into one line for each
// change, as `tidings schema check` prints them. Other errors stay as they are.
func (l *localSchemas) refused(cmd *cobra.Command, err error) error {
	fromServer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	f := command.NewFailure(fromServer)
	if f.Reason != "SCHEMA_INCOMPATIBLE" || len(f.Violations) == 0 {
		return err
	}
	for _, b := range l.incompatibilities(cmd.Context(), f) {
		fmt.Fprintln(cmd.ErrOrStderr(), b)
	}
	total := strconv.Itoa(len(f.Violations))
	if said := f.Metadata["violations"]; said != "" && said != total {
		total = said + " (`tidings schema check` lists more of them)"
	}
	return command.WithStatus(f.Status(), fmt.Errorf("%s: nothing is registered; incompatible changes: %s", f.Reason, command.Printable(total)))
}

// violationPlace and violationText are the parts of a violation in an error.
var (
	violationPlace = regexp.MustCompile(`^(.*?)(?::(\d+))?$`)
	violationText  = regexp.MustCompile(`^(.*) \(against revision ([0-9a-f]+)\)$`)
)

// nowhere is the place of a violation whose file has gone.
const nowhere = "schemas"

func (l *localSchemas) incompatibilities(ctx context.Context, f *command.Failure) []incompatibility {
	var breaks []incompatibility
	for _, v := range f.Violations {
		b := incompatibility{message: v.Description, rule: v.Rule}
		if m := violationPlace.FindStringSubmatch(v.Path); m != nil && v.Path != nowhere {
			b.file = m[1]
			b.line, _ = strconv.Atoi(m[2]) // Without one it is 0.
		}
		if m := violationText.FindStringSubmatch(v.Description); m != nil {
			b.message, b.against = m[1], m[2]
		}
		breaks = append(breaks, b)
	}
	l.locate(ctx, breaks)
	return breaks
}
