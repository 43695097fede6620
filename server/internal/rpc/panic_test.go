package rpc_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The sides of a stream of which a test says what they do, which may be to panic, as
// a codec may.
type sendingSide func(*service.Frame) error

func (s sendingSide) Send(frame *service.Frame) error { return s(frame) }

type receivingSide func() ([]byte, error)

func (r receivingSide) Receive([]byte) ([]byte, error) { return r() }

type twoSides struct {
	sendingSide

	receive func() (*tidingsv1.ConsumeRequest, error)
}

func (c twoSides) Receive() (*tidingsv1.ConsumeRequest, error) { return c.receive() }

// A panic in a goroutine of a call ends the call, and what was leased in it goes
// back without an attempt.
func TestPanicBesideACall(t *testing.T) {
	t.Parallel()
	c := transports()[0].dial(t, shared)
	topic := newTopic(t, c)
	publishN(t, c, topic, 2)
	delivered, consumed := newSubscription(t, c, topic), newSubscription(t, c, topic)
	deliveriesPanic := func() sendingSide {
		frames := 0
		return func(*service.Frame) error {
			frames++
			if frames == 2 { // The first says what was granted.
				panic("while delivering")
			}
			return nil
		}
	}
	opened := false
	open := func() (*tidingsv1.ConsumeRequest, error) { //nolint:unparam // As the stream has it.
		if opened {
			panic("while receiving")
		}
		opened = true
		return &tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{Subscription: consumed}}}, nil
	}
	for what, call := range map[string]func() error{
		"while delivering": func() error {
			return shared.service.Receive(testContext(t), &tidingsv1.ReceiveRequest{Subscription: delivered}, deliveriesPanic())
		},
		"while receiving": func() error {
			return shared.service.Consume(testContext(t), twoSides{func(*service.Frame) error { return nil }, open})
		},
		"while importing": func() error {
			_, err := shared.service.Import(testContext(t), receivingSide(func() ([]byte, error) { panic("while importing") }))
			if known, ok := errors.AsType[*service.Error](err); ok && known.Name() == "INTERNAL" && strings.Contains(shared.log.String(), "while importing") {
				return errors.New("while importing, in panic_test.go") // Import says how much was stored.
			}
			return err
		},
	} {
		err := call()
		if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "panic_test.go") {
			t.Errorf("%s: %v", what, err)
		}
	}
	got := 0
	for got < 2 {
		response, err := c.Pull(testContext(t), &tidingsv1.PullRequest{Subscription: delivered, MaxWait: durationpb.New(5 * time.Second)})
		if err != nil || len(response.GetDeliveries()) == 0 {
			t.Fatal(response, err)
		}
		for _, delivery := range response.GetDeliveries() {
			got++
			if delivery.GetAttempt() != 1 {
				t.Errorf("attempt %d", delivery.GetAttempt())
			}
		}
	}
}
