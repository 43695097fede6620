package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// soakChild names the variable that makes this test binary a consumer of the
// soak.
const soakChild = "TIDINGS_TEST_CONSUMER"

// soakConsumerConfig is what a consumer is told.
type soakConsumerConfig struct {
	Subscriptions []string
	ReadyFile     string // Of the server: where it listens.
	Log           string
	Number        int
	Seed          uint64
}

// soakConsumer consumes badly, until it is killed.
func soakConsumer(encoded string) int {
	var cfg soakConsumerConfig
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil { //nolint:musttag // Read by who wrote it.
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// All consumers write this one file: its order is that in which things
	// happened, without a clock.
	file, err := os.OpenFile(cfg.Log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // Whoever started this is gone.
	}()
	var forever sync.WaitGroup
	for i, subscription := range cfg.Subscriptions {
		c := &badConsumer{
			subscription: subscription, cfg: cfg, log: file,
			random: rand.New(rand.NewPCG(cfg.Seed, uint64(i))), //nolint:gosec // A seed makes a run repeatable.
		}
		forever.Go(func() {
			for {
				c.connect()
			}
		})
	}
	forever.Wait()
	return 0
}

// badConsumer is a consumer of one subscription. It is for one goroutine.
type badConsumer struct {
	subscription string
	cfg          soakConsumerConfig
	log          *os.File
	random       *rand.Rand
	held         []*settling // Delivered, to be settled with another connection.
}

// settling is a delivery and what is to become of it.
type settling struct {
	token      string
	settlement *tidingsv1.Settlement // nil: nothing.
	action     string
}

// write writes lines into the log at once. One that the death of the process
// tears has no full stop.
func (c *badConsumer) write(lines []string) {
	if len(lines) == 0 {
		return
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "\n%d %s %s .", c.cfg.Number, c.subscription, line)
	}
	if _, err := c.log.WriteString(b.String()); err != nil {
		panic(err)
	}
}

// connect consumes over one connection, for a while.
func (c *badConsumer) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ready struct {
		GRPC string `json:"grpc"`
	}
	content, err := os.ReadFile(c.cfg.ReadyFile)
	if err != nil || json.Unmarshal(content, &ready) != nil {
		wait(ctx, 20*time.Millisecond)
		return
	}
	conn, err := grpc.NewClient(ready.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer func() { _ = conn.Close() }()
	client := tidingsv1.NewConsumerServiceClient(conn)
	door := []func(context.Context, tidingsv1.ConsumerServiceClient) error{c.overConsume, c.overReceive, c.overPull}[c.random.IntN(3)]
	if err := door(ctx, client); err != nil {
		wait(ctx, 20*time.Millisecond)
	}
}

// wait waits in a consumer that has nothing to wait for but time.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// received notes deliveries and decides what becomes of each.
func (c *badConsumer) received(deliveries []*tidingsv1.Delivery) (list []*settling) {
	var lines []string
	for _, d := range deliveries {
		// D: delivered. The lateness is how long ago the lease ended.
		lines = append(lines, fmt.Sprintf("D %s %d %d %s %s %d", d.GetDeliveryToken(), d.GetRecorded().GetSequence(), d.GetAttempt(),
			d.GetRecorded().GetEvent().GetId(), d.GetRecorded().GetEvent().GetPartitionKey(),
			time.Since(d.GetDeadline().AsTime()).Milliseconds()))
		if s := c.decide(d); s != nil {
			list = append(list, s)
		}
	}
	c.write(lines)
	return list
}

// decide says what becomes of a delivery: mostly what should.
func (c *badConsumer) decide(d *tidingsv1.Delivery) *settling {
	s := &settling{token: d.GetDeliveryToken(), settlement: ack(d), action: "ack"}
	// Some events fail with every consumer.
	switch hash := crc32.ChecksumIEEE([]byte(d.GetRecorded().GetEvent().GetId())) % 400; {
	case hash < 3:
		s.settlement, s.action = nack(d, &tidingsv1.Nack{Reason: "never"}), "retry"
		return s
	case hash == 3:
		return nil
	}
	switch n := c.random.IntN(100); {
	case n < 8:
		s.settlement, s.action = nack(d, &tidingsv1.Nack{Reason: "busy"}), "retry"
	case n < 10:
		s.settlement, s.action = nack(d, &tidingsv1.Nack{Delay: durationpb.New(time.Duration(c.random.IntN(300)) * time.Millisecond)}), "retry"
	case n < 15:
		s.settlement, s.action = nack(d, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_RELEASE}), "release"
	case n < 17:
		s.settlement, s.action = nack(d, &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER, Reason: "can't"}), "bury"
	case n < 20:
		return nil // It times out.
	case n < 24:
		s.settlement, s.action = extend(d, 2*time.Second), "extend"
	case n < 28:
		c.held = append(c.held, s)
		return nil
	}
	return s
}

// heldTokens forgets some of what is held, and returns the tokens of the rest.
func (c *badConsumer) heldTokens() (list []string) {
	if c.random.IntN(4) == 0 {
		c.held = nil
	}
	for _, s := range c.held {
		list = append(list, s.token)
	}
	return list
}

// settlements notes what is about to be said, and returns it.
func (c *badConsumer) settlements(list []*settling) (settlements []*tidingsv1.Settlement) {
	var lines []string
	for _, s := range list {
		settlements = append(settlements, s.settlement)
		lines = append(lines, fmt.Sprintf("T %s %s", s.token, s.action)) // T: tried.
	}
	c.write(lines)
	return settlements
}

// answered notes the results, and returns what is to be said next: what was
// extended is to be acknowledged, what isn't known is to be said again.
func (c *badConsumer) answered(list []*settling, results []*tidingsv1.SettlementResult) (next []*settling) {
	var lines []string
	for i, result := range results {
		s := list[i]
		lines = append(lines, fmt.Sprintf("R %s %s %d", s.token, s.action, result.GetStatus())) // R: the result.
		switch {
		case result.GetStatus() == transient:
			next = append(next, s)
		case s.action == "extend" && result.GetStatus() == applied:
			next = append(next, &settling{
				token: s.token, action: "ack",
				settlement: &tidingsv1.Settlement{DeliveryToken: s.token, Action: &tidingsv1.Settlement_Ack{Ack: new(tidingsv1.Ack)}},
			})
		}
	}
	c.write(lines)
	return next
}

// settle settles with calls of their own.
func (c *badConsumer) settle(ctx context.Context, client tidingsv1.ConsumerServiceClient, list []*settling) error {
	for len(list) > 0 {
		response, err := client.Settle(ctx, &tidingsv1.SettleRequest{Subscription: c.subscription, Settlements: c.settlements(list)})
		if err != nil {
			c.held = append(c.held, list...) // Again with the next connection.
			return err
		}
		list = c.answered(list, response.GetResults())
	}
	return nil
}

// settleHeld settles what is left from earlier connections.
func (c *badConsumer) settleHeld(ctx context.Context, client tidingsv1.ConsumerServiceClient) error {
	list := c.held
	c.held = nil
	return c.settle(ctx, client, list)
}

func (c *badConsumer) window() *tidingsv1.FlowControl {
	return &tidingsv1.FlowControl{MaxEvents: 1 + c.random.Int32N(60)}
}

func (c *badConsumer) overPull(ctx context.Context, client tidingsv1.ConsumerServiceClient) error {
	if err := c.settleHeld(ctx, client); err != nil {
		return err
	}
	for range 1 + c.random.IntN(20) {
		response, err := client.Pull(ctx, &tidingsv1.PullRequest{
			Subscription: c.subscription, MaxEvents: 1 + c.random.Int32N(60), MaxWait: durationpb.New(500 * time.Millisecond),
		})
		if err != nil {
			return err
		}
		if err := c.settle(ctx, client, c.received(response.GetDeliveries())); err != nil {
			return err
		}
	}
	return nil
}

func (c *badConsumer) overReceive(ctx context.Context, client tidingsv1.ConsumerServiceClient) error {
	stream, err := client.Receive(ctx, &tidingsv1.ReceiveRequest{
		Subscription: c.subscription, Window: c.window(), HeldDeliveryTokens: c.heldTokens(), HeartbeatInterval: durationpb.New(time.Second),
	})
	if err != nil {
		return err
	}
	for range 1 + c.random.IntN(40) {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if response.GetOpened() != nil {
			if err := c.settleHeld(ctx, client); err != nil {
				return err
			}
		}
		if err := c.settle(ctx, client, c.received(response.GetDeliveries().GetDeliveries())); err != nil {
			return err
		}
	}
	return nil
}

// overConsume settles on the stream, and doesn't wait for the answers.
func (c *badConsumer) overConsume(ctx context.Context, client tidingsv1.ConsumerServiceClient) error {
	stream, err := client.Consume(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Open{Open: &tidingsv1.ConsumeOpen{
		Subscription: c.subscription, Window: c.window(), HeldDeliveryTokens: c.heldTokens(), HeartbeatInterval: durationpb.New(time.Second),
	}}}); err != nil {
		return err
	}
	var asked [][]*settling // The batches that aren't answered.
	defer func() {
		for _, batch := range asked {
			c.held = append(c.held, batch...)
		}
	}()
	say := func(list []*settling) error {
		if len(list) == 0 {
			return nil
		}
		asked = append(asked, list)
		return stream.Send(&tidingsv1.ConsumeRequest{Request: &tidingsv1.ConsumeRequest_Settle{
			Settle: &tidingsv1.SettlementBatch{Settlements: c.settlements(list)},
		}})
	}
	for frames := 1 + c.random.IntN(60); ; frames-- {
		response, err := stream.Recv()
		if err != nil {
			return nil // The stream has ended, one way or the other.
		}
		var next []*settling
		switch frame := response.GetFrame().(type) {
		case *tidingsv1.ConsumeResponse_Opened:
			next, c.held = c.held, nil
		case *tidingsv1.ConsumeResponse_Settled:
			next = c.answered(asked[0], frame.Settled.GetResults())
			asked = asked[1:]
		case *tidingsv1.ConsumeResponse_Deliveries:
			next = c.received(frame.Deliveries.GetDeliveries())
		}
		if err := say(next); err != nil {
			return err
		}
		switch {
		case frames > 0:
		case c.random.IntN(2) == 0:
			return nil // Gone without a word.
		default:
			if err := stream.CloseSend(); err != nil {
				return err
			}
			frames = 1 << 30 // The server ends the stream.
		}
	}
}
