package command

import (
	"iter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
)

// Pages returns the items of all pages of a list. page returns the items of the
// page with a token, empty for the first, and the token of the next, empty after
// the last. After an error there is nothing more.
func Pages[M any](page func(token string) (items []M, next string, err error)) iter.Seq2[M, error] {
	return func(yield func(M, error) bool) {
		for token := ""; ; {
			items, next, err := page(token)
			if err != nil {
				var none M
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// List is what a command lists, by `--output` as a table or as JSON.
type List[M proto.Message] struct {
	Heading []string
	// Row returns the cells of an item.
	Row func(M) []string
	// Limit is how many items are listed at most. 0: all.
	Limit int64
	// Page is as for Pages.
	Page func(c *Client, token string) (items []M, next string, err error)
}

// Print makes the calls and prints the items.
func (l *List[M]) Print(cmd *cobra.Command, a *App) error {
	asJSON, err := WantsJSON(cmd)
	if err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	types, rows, listed := NewPayloadTypes(c), [][]string{l.Heading}, int64(0)
	for item, err := range Pages(func(token string) ([]M, string, error) { return l.Page(c, token) }) {
		if err != nil {
			return err
		}
		if asJSON {
			if err := PrintJSON(cmd, types, item); err != nil {
				return err
			}
		} else {
			rows = append(rows, l.Row(item))
		}
		listed++
		if listed == l.Limit {
			break
		}
	}
	if asJSON {
		return nil
	}
	return Table(cmd.OutOrStdout(), rows...)
}

// Show makes a call and prints the message that it returns: as JSON where
// `--output` says so, and else with text.
func Show[M proto.Message](cmd *cobra.Command, a *App, call func(*Client) (M, error), text func(*Client, M) error) error {
	asJSON, err := WantsJSON(cmd)
	if err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	message, err := call(c)
	if err != nil {
		return err
	}
	if asJSON {
		return PrintJSON(cmd, NewPayloadTypes(c), message)
	}
	return text(c, message)
}
