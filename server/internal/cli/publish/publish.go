// Package publish is `tidings publish`, `import` and `validate`: the commands that
// read events from lines of JSON.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
	"example.com/tidings/server/internal/guard"
)

const (
	publishBatch = 100
	// maxInFlight is how many requests may wait for their answer.
	maxInFlight = 32
	// drainTimeout is how long an interrupted command waits for the answers to
	// what it has sent.
	drainTimeout = 5 * time.Second
)

// Command returns `tidings publish`.
func Command(a *command.App) *cobra.Command {
	p := new(publishCall)
	cmd := &cobra.Command{
		Use:   "publish [FILE|-]",
		Short: "Publish events from lines of JSON",
		Long: `Publish the events of a file, or of standard input, each a line of JSON:

  {"id":"1","source":"/shop","data":{"@type":"…/shop.orders.v1.OrderPlaced",…}}

Lines are sent in requests of --batch lines, and a request
is stored as a whole or not at all, unless --skip-invalid is set. The command
stops at the first refused event: what earlier requests stored stays stored, and
nothing of later ones is.

With --skip-invalid, publish the corrected lines in a file of their own: in the
whole file, a request with a corrected line is refused as one that has been sent
before, or, where the line wasn't sent at all, stored again.

To retry, publish the same input with the same --batch: the server recognises
the requests that it has stored, within the topic's dedupe window, and answers
with the original sequences. That needs the ids to be in the input, so
--assign-ids is for events that need no retry.

Publish endless input with --batch 1: a request isn't sent before its lines are
there.`,
		Example: `  tidings publish orders.jsonl
  tidings publish --skip-invalid --receipts orders.jsonl > receipts.jsonl
  tail -f orders.jsonl | tidings publish --batch 1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return command.Arguments("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(cmd, a, append(args, "-")[0])
		},
	}
	p.in.addFlags(cmd, publishBatch)
	cmd.Flags().BoolVar(&p.skipInvalid, "skip-invalid", false, "store the valid events and print why others are refused, rather than stop")
	cmd.Flags().BoolVar(&p.receipts, "receipts", false, "print a line of JSON for each stored event, and the summary to standard error")
	command.AddProgressFlag(cmd)
	return cmd
}

// publishCall is one run of `tidings publish`. One goroutine sends and one
// receives; what only one of them may touch says so.
type publishCall struct {
	skipInvalid, receipts bool

	out     io.Writer // The receiver's.
	console *command.Console
	in      eventInput // The sender's.

	refusedHere int64 // The sender's: lines that were refused before they were sent.
	stopped     error // The sender's: why it stopped at one of them.

	tally      tally // The receiver's.
	refusal    error // The receiver's: why a whole batch was refused.
	unanswered batches
}

// batches counts batches and the lines that they span.
type batches struct {
	events, from, to int64
}

func (b *batches) add(one *batch) {
	b.events += int64(len(one.events))
	if b.from == 0 || one.lines[0] < b.from {
		b.from = one.lines[0]
	}
	b.to = max(b.to, one.lines[len(one.lines)-1])
}

func (p *publishCall) run(cmd *cobra.Command, a *command.App, name string) error {
	if err := p.in.check(); err != nil {
		return err
	}
	c, err := a.Client()
	if err != nil {
		return err
	}
	if err := p.in.open(cmd, c, name); err != nil {
		return err
	}
	defer p.in.lines.close()
	p.out = cmd.OutOrStdout()
	p.console = command.NewProgress(cmd, p.in.lines.size)
	defer p.console.Close()
	p.in.byTopic, p.in.read, p.in.refused = true, p.console.Read, p.refuseLine

	sendErr, callErr := p.call(cmd.Context(), c)
	p.console.Close()
	p.tally.refused += p.refusedHere
	summary := cmd.OutOrStdout()
	if p.receipts {
		summary = cmd.ErrOrStderr()
	}
	p.tally.print(summary)
	return p.outcome(cmd.Context(), sendErr, callErr)
}

// call sends the batches and receives their answers. sendErr is why sending
// ended early, and callErr why the call itself failed.
func (p *publishCall) call(ctx context.Context, c *command.Client) (sendErr, callErr error) {
	// The call outlives an interruption for as long as it takes to learn what
	// became of the batches under way.
	callCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTimeout, cancel) })()

	stream, err := c.Publisher.PublishStream(callCtx)
	if err != nil {
		return nil, err
	}
	inFlight := make(chan *batch, maxInFlight)
	sendCtx, stopSending := context.WithCancel(ctx)
	defer stopSending()
	received := make(chan error, 1)
	guard.Go(func() error { return p.receive(stream, inFlight, stopSending) }, func(err error) {
		received <- err
		stopSending()
	})
	sendErr = p.send(sendCtx, stream, inFlight)
	if err := stream.CloseRequest(); err != nil {
		cancel()
	}
	callErr = <-received
	close(inFlight)
	for b := range inFlight {
		p.unanswered.add(b)
	}
	return sendErr, callErr
}

// send sends the batches of the input until it ends or ctx does.
func (p *publishCall) send(ctx context.Context, stream *connect.BidiStreamForClientSimple[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], inFlight chan<- *batch) error {
	for {
		b, err := p.in.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case inFlight <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		err = stream.Send(&tidingsv1.PublishStreamRequest{
			Publish:     &tidingsv1.PublishRequest{Topic: b.topic, Events: b.events, SkipInvalid: p.skipInvalid},
			StopOnError: !p.skipInvalid,
		})
		if errors.Is(err, io.EOF) {
			// The call has ended: the receiver knows why.
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receive takes the answers to the batches, which come in their order, until
// the call ends. It stops the sender when a batch is refused.
func (p *publishCall) receive(stream *connect.BidiStreamForClientSimple[tidingsv1.PublishStreamRequest, tidingsv1.PublishStreamResponse], inFlight <-chan *batch, stopSending func()) error {
	for {
		response, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var b *batch
		select {
		case b = <-inFlight:
		default:
			return errors.New("the server answered a batch that it wasn't sent")
		}
		switch result := response.GetResult().(type) {
		case *tidingsv1.PublishStreamResponse_Published:
			err = p.published(b, result.Published)
		case *tidingsv1.PublishStreamResponse_Error:
			p.refuseBatch(b, command.NewRefusal(result.Error))
			stopSending()
		default:
			err = errors.New("the server answered a batch with neither receipts nor an error")
		}
		if err != nil {
			return err
		}
		p.console.Acknowledged(int64(len(b.events)))
	}
}

func (p *publishCall) published(b *batch, response *tidingsv1.PublishResponse) error {
	p.tally.add(response)
	for _, refused := range response.GetRefusedEvents() {
		p.tally.refused++
		p.console.Printf("line %d: %s", b.line(refused.GetIndex()), command.NewRefusal(refused.GetError()).OfOneEvent())
	}
	if !p.receipts {
		return nil
	}
	return printReceipts(p.out, b, response)
}

// refuseBatch notes that nothing of a batch is stored, or that this isn't known.
func (p *publishCall) refuseBatch(b *batch, f *command.Failure) {
	refusal := fmt.Errorf("%s not stored: %s", b.span(), f.AtLines(b.line))
	if p.refusal == nil {
		p.refusal = command.WithStatus(f.Status(), refusal)
		return
	}
	p.console.Printf("%s", refusal)
}

// refuseLine notes that a line was refused before it was sent.
func (p *publishCall) refuseLine(number int64, refusal *tidingsv1.ErrorDetail) error {
	p.refusedHere++
	f := command.NewRefusal(refusal)
	if p.skipInvalid {
		p.console.Printf("line %d: %s", number, f)
		return nil
	}
	p.stopped = p.in.stoppedAt(number, f)
	return errStopped
}

// outcome returns the error with which the command ends.
func (p *publishCall) outcome(ctx context.Context, sendErr, callErr error) error {
	pending := ""
	if p.unanswered.events > 0 {
		pending = fmt.Sprintf("%s of %s had no answer; whether they are stored is not known. Publish the same input again with the same --batch: what is stored is recognised",
			command.Count(p.unanswered.events, "event"), span(p.unanswered.from, p.unanswered.to))
	}
	switch {
	case ctx.Err() != nil:
		if pending != "" {
			return command.WithStatus(command.StatusInterrupted, fmt.Errorf("interrupted: %s", pending))
		}
		return command.WithStatus(command.StatusInterrupted, errors.New("interrupted: everything that was sent has been answered"))
	case callErr != nil && pending != "":
		p.console.Printf("%s", pending)
		return callErr
	case callErr != nil:
		return callErr
	case p.refusal != nil:
		return p.refusal
	case errors.Is(sendErr, errStopped):
		return p.stopped
	case sendErr != nil:
		return sendErr
	case pending != "":
		return errors.New(pending)
	case p.tally.refused > 0:
		return command.WithStatus(command.StatusRefused, fmt.Errorf("%s refused", command.Count(p.tally.refused, "event")))
	}
	return nil
}
