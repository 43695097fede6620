package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/wire"
)

// call is a call under way, with what came and wasn't looked at yet.
type call struct {
	conn     wire.Call
	spec     wire.Spec
	encoding encoding
	pending  []frame
	cancel   context.CancelFunc
	timer    *time.Timer
	timeout  time.Duration
	late     atomic.Bool
}

// frame is a message that came: of a batch, one of its things.
type frame struct {
	content map[string]any
	// kind is the name of the field, where the RPC sends frames. Empty: the frame
	// is of a kind that this program doesn't know.
	kind string
}

// errTimeout says that a server let a call wait.
var errTimeout = errors.New("nothing came")

func newCall(ctx context.Context, conn wire.Conn, spec wire.Spec, e encoding) *call {
	ctx, cancel := context.WithCancel(ctx)
	return &call{conn: conn.Open(ctx, spec), spec: spec, encoding: e, cancel: cancel}
}

// guard gives the call up if it isn't released in time. It is no deadline, which
// the server would be told.
func (c *call) guard(timeout time.Duration) {
	c.timeout = timeout
	c.timer = time.AfterFunc(timeout, func() {
		c.late.Store(true)
		c.cancel()
	})
}

func (c *call) release() { c.timer.Stop() }

// end ends the call, whatever its state.
func (c *call) end() { c.cancel() }

// receive returns the next frame, io.EOF at the end, or how the call failed.
func (c *call) receive() (frame, error) {
	for len(c.pending) == 0 {
		data, err := c.conn.Receive()
		if c.late.Load() {
			return frame{}, fmt.Errorf("%w for %s", errTimeout, c.timeout)
		}
		if err != nil {
			return frame{}, err
		}
		content, err := c.encoding.decode(data, c.spec.RPC.Output())
		if err != nil {
			return frame{}, err
		}
		c.pending = c.frames(content)
	}
	next := c.pending[0]
	c.pending = c.pending[1:]
	return next, nil
}

// frames takes a message apart.
func (c *call) frames(content map[string]any) []frame {
	kinds := contract.Frames(c.spec.RPC)
	if len(kinds) == 0 {
		return []frame{{content: content}}
	}
	i := slices.IndexFunc(kinds, func(kind string) bool { return content[kind] != nil })
	if i < 0 {
		return []frame{{content: content}}
	}
	return split(content, kinds[i], contract.BatchOf(c.spec.RPC, kinds[i]))
}

// split makes a frame of each element of a batch.
func split(content map[string]any, kind, list string) []frame {
	batch, _ := content[kind].(map[string]any)
	elements, ok := batch[list].([]any)
	if !ok || list == "" {
		return []frame{{content, kind}}
	}
	frames := make([]frame, len(elements))
	for i, element := range elements {
		frames[i] = frame{map[string]any{kind: map[string]any{list: []any{element}}}, kind}
	}
	return frames
}

// passing are the frames that may come at any time in any stream, so that a step
// passes over them unless it waits for one.
var passing = []string{"heartbeat", "checkpoint"}

// next returns the next frame that a step looks at, given the kinds that it waits
// for and those that it ignores.
func (c *call) next(wanted, ignored []string) (frame, error) {
	for {
		next, err := c.receive()
		if err != nil || len(contract.Frames(c.spec.RPC)) == 0 {
			return next, err
		}
		isPassing := next.kind == "" || slices.Contains(passing, next.kind) || slices.Contains(ignored, next.kind)
		if !isPassing || slices.Contains(wanted, next.kind) {
			return next, nil
		}
	}
}

// ended reports whether a call ended without an error.
func ended(err error) bool { return errors.Is(err, io.EOF) }
