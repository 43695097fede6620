package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

// checkedOutput is standard output. It remembers why something couldn't be
// written, so that no command ends well whose output is lost. It is safe for
// concurrent use.
type checkedOutput struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (o *checkedOutput) Write(text []byte) (int, error) {
	n, err := o.w.Write(text)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = cmp.Or(o.err, err)
	}
	return n, err
}

// failed returns the first error.
func (o *checkedOutput) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// The values of `--output`.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// addOutputFlag adds `--output` to a command that shows messages.
func addOutputFlag(cmd *cobra.Command) {
	cmd.Flags().StringP("output", "o", outputTable, "`format`: table, or json with one object a line")
}

// wantsJSON reports what `--output` says.
func wantsJSON(cmd *cobra.Command) (bool, error) {
	switch value := cmd.Flags().Lookup("output").Value.String(); value {
	case outputTable:
		return false, nil
	case outputJSON:
		return true, nil
	default:
		return false, usagef("--output: %q is not table or json", value)
	}
}

// printJSON writes messages that hold no payloads, one a line.
func printJSON[M proto.Message](cmd *cobra.Command, messages ...M) error {
	for _, message := range messages {
		if err := printWithPayload(cmd, nil, message); err != nil {
			return err
		}
	}
	return nil
}

// printWithPayload writes a message on a line.
func printWithPayload(cmd *cobra.Command, types *payloadTypes, message proto.Message) error {
	text, err := toJSON(cmd.Context(), types, message)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
	return err
}

// table writes rows in columns. The first row is the heading.
func table(w io.Writer, rows ...[]string) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = oneLine(cell)
		}
		if _, err := fmt.Fprintln(aligned, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return aligned.Flush()
}

// oneLine makes text fit for a cell of a table.
func oneLine(text string) string {
	return printable(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}
