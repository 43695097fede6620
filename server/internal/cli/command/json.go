package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/eventjson"
)

// ToJSON writes a message on one line. Payloads are readable, as far as they have
// a JSON form and the server has their types. types may be nil where there are none.
func ToJSON(ctx context.Context, types *PayloadTypes, message proto.Message) ([]byte, error) {
	if types == nil {
		text, err := eventjson.Append(nil, message, nil)
		return printableJSON(text), err
	}
	r := &resolver{ctx: ctx, types: types}
	text, err := eventjson.Append(nil, message, r)
	if r.failed != nil && !r.failed.Unknown {
		err = r.failed
	}
	return printableJSON(text), err
}

// FromJSON reads an event from JSON. failed says which type of it couldn't be
// fetched, where that is why; an *eventjson.Error says what else is wrong.
func FromJSON(ctx context.Context, types *PayloadTypes, text []byte, event *tidingsv1.Event) (failed *TypeError, err error) {
	r := &resolver{ctx: ctx, types: types}
	err = eventjson.Parse(text, event, r)
	return r.failed, err
}

// PrintJSON writes a message on a line of standard output.
func PrintJSON(cmd *cobra.Command, types *PayloadTypes, message proto.Message) error {
	text, err := ToJSON(cmd.Context(), types, message)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
	return err
}
