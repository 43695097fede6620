package run

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/tidings/conformance/internal/contract"
	"example.com/tidings/conformance/internal/image"
	"example.com/tidings/conformance/internal/match"
	"example.com/tidings/conformance/internal/suite"
	"example.com/tidings/conformance/internal/wire"
)

// session is one run of a case over one transport.
type session struct {
	conn     wire.Conn
	get      bool
	encoding encoding
	timeout  time.Duration
	stop     *barrier
	waited   bool // It has come to the barrier.
	values   match.Values
	calls    map[string]*call
	made     []made
}

// made is what a case created on the server, and how it is deleted.
type made struct{ rpc, name string }

// newSession makes what a case has at its beginning.
func newSession(c suite.Case, conn wire.Conn, transport wire.Transport, timeout time.Duration, limits match.Values) (*session, error) {
	unique := "c" + strings.ToLower(rand.Text()[:12])
	values := match.Values{
		"unique": unique, "topic": "conformance-" + unique, "subscription": "conformance-" + unique,
		"every_kind": suite.EveryKindURL, "part": suite.PartURL,
	}
	maps.Copy(values, limits)
	maps.Copy(values, c.Values)
	for name, source := range c.Schemas {
		compiled, err := image.Compile(strings.ReplaceAll(source, "${unique}", unique))
		if err != nil {
			return nil, fmt.Errorf("schemas.%s: %w", name, err)
		}
		values["image."+name] = base64.StdEncoding.EncodeToString(compiled)
	}
	return &session{
		conn: conn, get: transport.Get, encoding: encoding{transport.JSON}, timeout: timeout,
		values: values, calls: map[string]*call{},
	}, nil
}

// run takes the steps of a case. The error says at which one it failed.
func (s *session) run(ctx context.Context, steps []suite.Step) error {
	defer s.cleanUp(ctx)
	for _, step := range steps {
		take := s.take
		if step.GetEventually() {
			take = s.takeEventually
		}
		if err := take(ctx, step); err != nil {
			return fmt.Errorf("%s: %w", step.Place, err)
		}
	}
	return nil
}

// pause is the time between two tries of a step that is met in time.
const pause = 25 * time.Millisecond

func (s *session) takeEventually(ctx context.Context, step suite.Step) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := s.take(ctx, step)
		failure := new(wire.CallError)
		if err == nil || errors.As(err, &failure) && (failure.Unimplemented() || failure.Unreachable()) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("after %s still: %w", s.timeout, err)
		}
	}
}

func (s *session) take(ctx context.Context, step suite.Step) error {
	if step.GetStopServer() {
		s.waited = true
		if err := s.stop.wait(ctx); err != nil || step.Call == nil {
			return err
		}
	}
	c, err := s.callOf(ctx, step)
	if err != nil {
		return err
	}
	c.guard(s.timeout)
	defer c.release()
	if step.GetCall() == "" {
		defer c.end()
	}
	if err := s.send(c, step); err != nil {
		return fmt.Errorf("%s: %w", contract.Name(step.Call), err)
	}
	if err := s.expect(c, step); err != nil {
		return fmt.Errorf("%s: %w", contract.Name(step.Call), err)
	}
	s.remember(step)
	if step.GetCancel() {
		c.cancel()
	}
	return nil
}

// callOf begins the call of a step, or finds the one that it goes on with.
func (s *session) callOf(ctx context.Context, step suite.Step) (*call, error) {
	name := step.GetCall()
	if step.GetRpc() == "" {
		return s.calls[name], nil
	}
	if s.calls[name] != nil {
		return nil, fmt.Errorf("the call %q is open", name)
	}
	c := newCall(ctx, s.conn, wire.Spec{
		RPC: step.Call, Get: s.get && contract.NoSideEffects(step.Call), Timeout: step.GetDeadline().AsDuration(),
	}, s.encoding)
	if name != "" {
		s.calls[name] = c
	}
	return c, nil
}

// send sends what a step sends.
func (s *session) send(c *call, step suite.Step) error {
	var encoded [][]byte
	for _, request := range requestsOf(step) {
		data, err := s.encoding.encode(request, step.Call.Input(), s.values)
		if err != nil {
			return fmt.Errorf("the request of the case: %w", err)
		}
		encoded = append(encoded, data)
	}
	if raw := step.GetRaw(); raw != nil {
		data := raw.GetProto()
		if s.encoding.json {
			data = []byte(raw.GetJson())
		}
		encoded = append(encoded, data)
	}
	begins := step.GetRpc() != ""
	if begins && len(encoded) == 0 && !step.Call.IsStreamingClient() {
		data, err := s.encoding.encode(map[string]any{}, step.Call.Input(), s.values)
		if err != nil {
			return err
		}
		encoded = append(encoded, data)
	}
	for _, data := range encoded {
		if c.conn.Send(data) != nil {
			break // Why is what is received.
		}
	}
	if step.GetHalfClose() || begins && (step.GetCall() == "" || !step.Call.IsStreamingClient()) {
		_ = c.conn.CloseSend()
	}
	return nil
}

func requestsOf(step suite.Step) []map[string]any {
	var list []map[string]any
	if step.GetRequest() != nil {
		list = append(list, step.GetRequest().AsMap())
	}
	for _, request := range step.GetRequests() {
		list = append(list, request.AsMap())
	}
	return list
}

// creations are the RPCs that create what the suite deletes again: the path of
// the name in the request, and the RPC that deletes by `name`.
var creations = map[string]struct{ message, deletion string }{
	"tidings.v1.TopicService/CreateTopic":               {"topic", "tidings.v1.TopicService/DeleteTopic"},
	"tidings.v1.SubscriptionService/CreateSubscription": {"subscription", "tidings.v1.SubscriptionService/DeleteSubscription"},
}

// remember notes what a step has created.
func (s *session) remember(step suite.Step) {
	creation, ok := creations[contract.Name(step.Call)]
	if !ok || step.GetError() != nil || step.GetRequest() == nil {
		return
	}
	expanded, err := s.values.Expand(step.GetRequest().AsMap()[creation.message])
	if object, isObject := expanded.(map[string]any); err == nil && isObject {
		if name, isText := object["name"].(string); isText {
			s.made = append(s.made, made{creation.deletion, name})
		}
	}
}

// cleanUp ends what is open, and deletes what was created, the last first. What
// is gone already, or can't be deleted, is left: the names aren't used again.
func (s *session) cleanUp(ctx context.Context) {
	for _, c := range s.calls {
		c.end()
	}
	// Also when the run is interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	for _, made := range slices.Backward(s.made) {
		if err := s.delete(ctx, made); errors.Is(err, errTimeout) {
			return
		}
	}
}

func (s *session) delete(ctx context.Context, made made) error {
	rpc, err := contract.Find(made.rpc)
	if err != nil {
		return err
	}
	c := newCall(ctx, s.conn, wire.Spec{RPC: rpc}, s.encoding)
	defer c.end()
	c.guard(s.timeout)
	defer c.release()
	data, err := s.encoding.encode(map[string]any{"name": made.name}, rpc.Input(), nil)
	if err != nil {
		return err
	}
	_ = c.conn.Send(data)
	_ = c.conn.CloseSend()
	_, err = c.receive()
	return err
}

// ask makes a unary call outside of a case.
func ask(ctx context.Context, conn wire.Conn, transport wire.Transport, rpc protoreflect.MethodDescriptor, timeout time.Duration, request map[string]any) (map[string]any, error) {
	e := encoding{transport.JSON}
	c := newCall(ctx, conn, wire.Spec{RPC: rpc}, e)
	defer c.end()
	c.guard(timeout)
	defer c.release()
	data, err := e.encode(request, rpc.Input(), nil)
	if err != nil {
		return nil, err
	}
	_ = c.conn.Send(data)
	_ = c.conn.CloseSend()
	frame, err := c.receive()
	return frame.content, err
}
