package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/tidings/internal/testserver"
)

const rabbitConfig = `listeners.tcp.1 = 127.0.0.1:%s
stream.listeners.tcp.1 = 127.0.0.1:%s
stream.advertised_host = 127.0.0.1
stream.advertised_port = %[2]s
log.console = true
log.console.level = error
`

// rabbitPorts are those of the one node, which both kinds of queue share.
type rabbitPorts struct{ amqp, stream string }

// startRabbit starts a node with its files in the benchmark's directory, and the daemon
// that it needs to start.
func startRabbit(ctx context.Context, b *brokers, program string) (p rabbitPorts, err error) {
	// The wrapper in the path changes the user; what it calls is what serves.
	const direct = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(direct); err == nil {
		program = direct
	}
	var names, distribution string
	for _, port := range []*string{&p.amqp, &p.stream, &names, &distribution} {
		if *port, err = freePort(ctx); err != nil {
			return p, err
		}
	}
	dir := b.dir("rabbitmq")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, err
	}
	for name, content := range map[string]string{
		"rabbitmq.conf": fmt.Sprintf(rabbitConfig, p.amqp, p.stream), "plugins": "[rabbitmq_stream].\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return p, err
		}
	}
	environment := append(testserver.Environ(), "HOME="+dir, "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+names)
	daemon := exec.CommandContext(context.WithoutCancel(ctx), "epmd")
	daemon.Env = environment
	if err := b.run(ctx, daemon, "127.0.0.1:"+names); err != nil {
		return p, fmt.Errorf("epmd: %w", err)
	}
	node := exec.CommandContext(context.WithoutCancel(ctx), program)
	node.Env = slices.Concat(environment, []string{
		"RABBITMQ_NODENAME=benchmark@localhost", "RABBITMQ_DIST_PORT=" + distribution, "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"), "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"})
	if err := b.run(ctx, node, "127.0.0.1:"+p.amqp); err != nil {
		return p, err
	}
	return p, nil
}

// rabbit is the node, started once.
func (b *brokers) rabbit(ctx context.Context, program string) (rabbitPorts, error) {
	if b.rabbitPorts == nil {
		ports, err := startRabbit(ctx, b, program)
		if err != nil {
			return ports, err
		}
		b.rabbitPorts = &ports
	}
	return *b.rabbitPorts, nil
}

// quorumClient publishes to a quorum queue with publisher confirms.
type quorumClient struct {
	data   *dataset
	conn   *amqp.Connection
	queues int
}

func startQuorum(ctx context.Context, b *brokers, program string) (brokerClient, error) {
	ports, err := b.rabbit(ctx, program)
	if err != nil {
		return nil, err
	}
	conn, err := amqp.Dial("amqp://guest:guest@127.0.0.1:" + ports.amqp)
	return &quorumClient{data: b.data, conn: conn}, err
}

func (q *quorumClient) close() error { return q.conn.Close() }

func (q *quorumClient) queue() string { return fmt.Sprintf("bench-%d", q.queues) }

// confirmWindow is how many publishes wait for their confirmation.
const confirmWindow = 5000

func (q *quorumClient) publish(ctx context.Context) (elapsed time.Duration, err error) {
	channel, err := q.conn.Channel()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, channel.Close()) }()
	if q.queues > 0 {
		if _, err := channel.QueueDelete(q.queue(), false, false, false); err != nil {
			return 0, err
		}
	}
	q.queues++
	if _, err := channel.QueueDeclare(q.queue(), true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return 0, err
	}
	if err := channel.Confirm(false); err != nil {
		return 0, err
	}
	begun := time.Now()
	waiting := make([]*amqp.DeferredConfirmation, 0, len(q.data.encoded))
	confirmed := func(i int) error {
		ok, err := waiting[i].WaitContext(ctx)
		if err == nil && !ok {
			err = fmt.Errorf("event %d was not confirmed", i)
		}
		return err
	}
	for i, event := range q.data.encoded {
		if i >= confirmWindow {
			if err := confirmed(i - confirmWindow); err != nil {
				return 0, err
			}
		}
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", q.queue(), false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: event})
		if err != nil {
			return 0, err
		}
		waiting = append(waiting, confirmation)
	}
	for i := max(0, len(waiting)-confirmWindow); i < len(waiting); i++ {
		if err := confirmed(i); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

func (q *quorumClient) consume(ctx context.Context) (elapsed time.Duration, err error) {
	if _, err := q.publish(ctx); err != nil { // What the last pass took is gone.
		return 0, err
	}
	channel, err := q.conn.Channel()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, channel.Close()) }()
	const window, together = 2000, 100
	if err := channel.Qos(window, 0, false); err != nil {
		return 0, err
	}
	begun := time.Now()
	deliveries, err := channel.ConsumeWithContext(ctx, q.queue(), "", false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	for taken := 1; taken <= len(q.data.encoded); taken++ {
		delivery, ok := <-deliveries
		if !ok {
			return 0, errors.Join(ctx.Err(), errors.New("the channel was closed"))
		}
		if taken%together == 0 || taken == len(q.data.encoded) {
			if err := delivery.Ack(true); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(begun), nil
}
