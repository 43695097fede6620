package publish

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

const validateBatch = 100

// ValidateCommand returns `tidings validate`.
func ValidateCommand(a *command.App) *cobra.Command {
	v := new(validateCall)
	cmd := &cobra.Command{
		Use:   "validate FILE|-",
		Short: "Check events as publish would, and store nothing",
		Example: `  tidings validate orders.jsonl
  tidings validate --topic orders - < orders.jsonl`,
		Args: command.Arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return v.run(cmd, a, args[0]) },
	}
	v.in.addFlags(cmd, validateBatch)
	cmd.Flags().Lookup("topic").Usage = "also check that this `TOPIC` accepts the events (default: only their types are checked)"
	cmd.Flags().Lookup("assign-ids").Usage = "accept events without an id, as if publish assigned one"
	command.AddProgressFlag(cmd)
	return cmd
}

// validateCall is one run of `tidings validate`.
type validateCall struct {
	in             eventInput
	console        *command.Console
	valid, invalid int64
}

func (v *validateCall) run(cmd *cobra.Command, a *command.App, name string) error {
	if err := v.in.check(); err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	if err := v.in.open(cmd, c, name); err != nil {
		return err
	}
	defer v.in.lines.close()
	v.console = command.NewProgress(cmd, v.in.lines.size)
	defer v.console.Close()
	v.in.read, v.in.refused = v.console.Read, v.refuseLine
	for {
		b, err := v.in.next(cmd.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := v.check(cmd.Context(), c, b); err != nil {
			return err
		}
	}
	v.console.Close()
	fmt.Fprintf(cmd.OutOrStdout(), "%s valid, %d invalid\n", command.Count(v.valid, "event"), v.invalid)
	if v.invalid > 0 {
		return command.WithStatus(command.StatusRefused, fmt.Errorf("%s invalid", command.Count(v.invalid, "event")))
	}
	return nil
}

func (v *validateCall) check(ctx context.Context, c *command.Client, b *batch) error {
	response, err := c.Schemas.ValidateEvents(ctx, &tidingsv1.ValidateEventsRequest{Events: b.events, Topic: v.in.topic})
	if err != nil {
		return fmt.Errorf("%s: %w", b.span(), err)
	}
	if len(response.GetResults()) != len(b.events) {
		return fmt.Errorf("%s: the server answered %d of %d events", b.span(), len(response.GetResults()), len(b.events))
	}
	for i, result := range response.GetResults() {
		if result.GetValid() {
			v.valid++
			continue
		}
		v.invalid++
		v.console.Printf("line %d: %s", b.lines[i], command.NewRefusal(result.GetError()).OfOneEvent())
	}
	v.console.Acknowledged(int64(len(b.events)))
	return nil
}

func (v *validateCall) refuseLine(number int64, refusal *tidingsv1.ErrorDetail) error {
	v.invalid++
	v.console.Printf("line %d: %s", number, command.NewRefusal(refusal))
	return nil
}
