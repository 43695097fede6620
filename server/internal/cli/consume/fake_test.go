package consume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
	"example.com/tidings/server/internal/cli/command"
)

var commands = []command.Constructor{Command}

type consumeStream = connect.BidiStream[tidingsv1.ConsumeRequest, tidingsv1.ConsumeResponse]

// The results that the tests have the fake server send.
const (
	applied        = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_APPLIED
	alreadyApplied = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_ALREADY_APPLIED
	leaseLost      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_LEASE_LOST
	malformedToken = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED
	transient      = tidingsv1.SettlementStatus_SETTLEMENT_STATUS_UNKNOWN
)

// deliveries are those of the first n events.
func deliveries(n int64) []*tidingsv1.Delivery {
	var all []*tidingsv1.Delivery
	for sequence := range n {
		all = append(all, clitest.Delivery(sequence+1))
	}
	return all
}

// consumed is what a consumer told the fake server, as `1 ack`, `2 retry: why`.
// It is safe for concurrent use.
type consumed struct {
	mu      sync.Mutex
	settled []string
}

func (c *consumed) note(settlements []*tidingsv1.Settlement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range settlements {
		c.settled = append(c.settled, strings.TrimPrefix(s.GetDeliveryToken(), "token-")+" "+action(s))
	}
}

// sorted returns what was told, in the order of the events.
func (c *consumed) sorted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(c.settled)), ", ")
}

func action(s *tidingsv1.Settlement) string {
	switch {
	case s.GetAck() != nil:
		return "ack"
	case s.GetExtend() != nil:
		return "extend " + s.GetExtend().GetDuration().AsDuration().String()
	}
	kind := strings.ToLower(strings.TrimPrefix(s.GetNack().GetKind().String(), "NACK_KIND_"))
	if s.GetNack().GetReason() != "" {
		kind += ": " + s.GetNack().GetReason()
	}
	return kind
}

// results are as many results of the same kind.
func results(n int, status tidingsv1.SettlementStatus) []*tidingsv1.SettlementResult {
	all := make([]*tidingsv1.SettlementResult, n)
	for i := range all {
		all[i] = &tidingsv1.SettlementResult{Status: status}
	}
	return all
}

// fakeCall is a call of Consume, as the fake server sees it.
type fakeCall struct {
	*consumeStream

	told  *consumed
	batch int64
}

// opened takes the first request and answers it.
func (c *fakeCall) opened(deadline time.Duration, held ...tidingsv1.SettlementStatus) (*tidingsv1.ConsumeOpen, error) {
	request, err := c.Receive()
	if err != nil {
		return nil, err
	}
	opened := &tidingsv1.ConsumeOpened{AckDeadline: durationpb.New(deadline)}
	for _, status := range held {
		opened.Held = append(opened.Held, &tidingsv1.SettlementResult{Status: status})
	}
	return request.GetOpen(), c.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Opened{Opened: opened}})
}

func (c *fakeCall) deliver(batch ...*tidingsv1.Delivery) error {
	return c.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Deliveries{Deliveries: &tidingsv1.DeliveryBatch{Deliveries: batch}}})
}

// settlements takes a batch of settlements. At the end of the client's side it
// returns io.EOF.
func (c *fakeCall) settlements() ([]*tidingsv1.Settlement, error) {
	request, err := c.Receive()
	if err != nil {
		return nil, err
	}
	batch := request.GetSettle().GetSettlements()
	if len(batch) == 0 {
		return nil, fmt.Errorf("got %v instead of settlements", request)
	}
	c.told.note(batch)
	return batch, nil
}

func (c *fakeCall) answer(results []*tidingsv1.SettlementResult) error {
	c.batch++
	return c.Send(&tidingsv1.ConsumeResponse{Frame: &tidingsv1.ConsumeResponse_Settled{Settled: &tidingsv1.SettlementResults{Batch: c.batch - 1, Results: results}}})
}

// applyAll applies settlements until the client has ended its side.
func (c *fakeCall) applyAll() error {
	for {
		batch, err := c.settlements()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.answer(results(len(batch), applied)); err != nil {
			return err
		}
	}
}

// consumeServer is a fake server whose calls of Consume run one script after the
// other, and whose Settle applies everything.
func consumeServer(scripts ...func(*fakeCall) error) (*clitest.Server, *consumed) {
	told := new(consumed)
	return &clitest.Server{
		OnConsume: func(stream *consumeStream) error {
			if len(scripts) == 0 {
				return connect.NewError(connect.CodeInvalidArgument, errors.New("one call too many"))
			}
			script := scripts[0]
			scripts = scripts[1:]
			return script(&fakeCall{consumeStream: stream, told: told})
		},
		OnSettle: func(request *tidingsv1.SettleRequest) (*tidingsv1.SettleResponse, error) {
			told.note(request.GetSettlements())
			return &tidingsv1.SettleResponse{Results: results(len(request.GetSettlements()), applied)}, nil
		},
	}, told
}

// delivering is a call that delivers events and applies what becomes of them.
func delivering(batch ...*tidingsv1.Delivery) func(*fakeCall) error {
	return func(c *fakeCall) error {
		if _, err := c.opened(time.Minute); err != nil {
			return err
		}
		if err := c.deliver(batch...); err != nil {
			return err
		}
		return c.applyAll()
	}
}

// gate is a file that holds up a command that reads it, until it is opened.
type gate struct{ path string }

func newGate(t *testing.T) gate {
	t.Helper()
	g := gate{filepath.Join(t.TempDir(), "gate")}
	if err := syscall.Mkfifo(g.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// open lets the command pass. It waits for the command to be there.
func (g gate) open() error {
	file, err := os.OpenFile(g.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// watched is output that can be waited for. It is safe for concurrent use.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{}
}

func newWatched() *watched { return &watched{grew: make(chan struct{}, 1)} }

func (w *watched) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.grew <- struct{}{}:
	default:
	}
	return w.text.Write(text)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until the output contains a text.
func (w *watched) await(ctx context.Context, text string) error {
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.grew:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q: %w", text, ctx.Err())
		}
	}
	return nil
}
