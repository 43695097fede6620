package command

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"
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

// AddOutputFlag adds `--output` to a command that shows messages.
func AddOutputFlag(cmd *cobra.Command) {
	cmd.Flags().StringP("output", "o", outputTable, "print as `FORMAT`: table, or json with one object a line")
}

// WantsJSON reports what `--output` says.
func WantsJSON(cmd *cobra.Command) (bool, error) {
	switch value := cmd.Flags().Lookup("output").Value.String(); value {
	case outputTable:
		return false, nil
	case outputJSON:
		return true, nil
	default:
		return false, Usagef("--output: %q is not table or json", value)
	}
}

// Table writes rows in columns. The first row is the heading.
func Table(w io.Writer, rows ...[]string) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = OneLine(cell)
		}
		if _, err := fmt.Fprintln(aligned, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return aligned.Flush()
}

// OneLine makes text fit for a cell of a table.
func OneLine(text string) string {
	return Printable(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}

// Count says a number of things.
func Count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}

// YesOrNo shows a bool.
func YesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// Yes shows a bool where what is usual is left out.
func Yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
