package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"example.com/tidings/internal/testserver"
)

// broker is what others would use, beside which Tidings is measured: a server with its
// client, at the setting that was fastest.
type broker struct {
	name       string
	durability string // What a confirmation means.
	// program is its server's, which is left out where it isn't installed. Empty: this
	// program is the server.
	program string
	start   func(ctx context.Context, b *brokers, program string) (brokerClient, error)
	// publishes alone is measured.
	publishes bool
}

// brokerClient moves all events of a data set.
type brokerClient interface {
	// publish publishes all events to a new queue in place of the one before, and returns
	// when all are confirmed.
	publish(ctx context.Context) (time.Duration, error)
	// consume takes all events of the queue, and acknowledges them.
	consume(ctx context.Context) (time.Duration, error)
	close() error
}

var allBrokers = []broker{
	redisBroker("everysec", "written; synced each second"),
	redisBroker("always", "synced before each answer"),
	{name: "RabbitMQ, quorum queue", durability: "synced (one node)", program: "rabbitmq-server", start: startQuorum},
	{
		name: "RabbitMQ, stream", durability: "in the memory of the system; entries of a batch",
		program: "rabbitmq-server", start: startRabbitStream, publishes: true,
	},
	{name: mosquittoName + ", QoS 1", durability: "in memory; saved on exit and each 30 minutes", program: mosquittoProgram, start: startMosquitto},
	{name: "NSQ, MPUB", durability: "in memory, on disk beyond 10,000", start: startNSQ},
}

const (
	brokerPublish = "publish with confirmation"
	brokerConsume = "consume and acknowledge"
)

// brokers are the servers of the peers suite.
type brokers struct {
	servers *servers
	cfg     config
	data    *dataset
	clients []brokerClient
	ended   []func() error // What else is to be ended, the last first.
	// rabbitPorts are those of RabbitMQ's node, once it was started.
	rabbitPorts *rabbitPorts
}

// peersSuite measures what others would use in the same runs.
var peersSuite = suite{"peers", "measure other brokers that are installed, beside Tidings and NATS", 1, func(ctx context.Context, cfg config, progress io.Writer) ([]row, func() error, error) {
	b := &brokers{servers: new(servers), cfg: cfg}
	var err error
	if b.data, err = buildDataset(cfg, progress); err != nil {
		return nil, b.stop, err
	}
	if b.servers, err = startServers(ctx, cfg, b.data); err != nil {
		return nil, b.stop, err
	}
	published := section{title: "Publish with confirmation", yardstick: "raw", form: rates}
	consumed := section{title: "Consume and acknowledge", yardstick: "raw", form: rates}
	var publish, consume []row
	add := func(name, durability string, store, take func(context.Context) (time.Duration, error)) {
		const raw = "NATS JetStream, a message an event"
		p := moving(cfg, published, name+", "+brokerPublish, raw+", "+brokerPublish, store)
		c := moving(cfg, consumed, name+", "+brokerConsume, raw+", "+brokerConsume, take)
		p.label, c.label, p.note, c.note = name, name, durability, durability
		publish = append(publish, p)
		if take != nil {
			consume = append(consume, c)
		}
	}
	s := b.servers
	const written = "written; synced each 2 minutes"
	add("NATS JetStream, a message an event", written, s.raw.publishSingle, s.raw.consumeSingle)
	const tidingsWritten = "written (`--sync written`)"
	add("Tidings, checked, not decoded", tidingsWritten, s.tidings.publishEncoded, s.tidings.consumeEncoded)
	add("Tidings, checked, generated client", tidingsWritten, s.tidings.publishTyped, s.tidings.consumeTyped)
	synced, err := b.synced(ctx)
	if err != nil {
		return nil, b.stop, err
	}
	add("Tidings, checked, generated client, fsync", "synced (`--sync fsync`)", synced.publishTyped, synced.consumeTyped)
	for _, peer := range allBrokers {
		program, err := peer.find()
		if err != nil {
			fmt.Fprintf(progress, "without %s: %v\n", peer.name, err)
			continue
		}
		fmt.Fprintf(progress, "starting %s\n", peer.name)
		client, err := peer.start(ctx, b, program)
		if err != nil {
			return nil, b.stop, fmt.Errorf("%s: %w", peer.name, err)
		}
		b.clients = append(b.clients, client)
		take := client.consume
		if peer.publishes {
			take = nil
		}
		add(peer.name, peer.durability, client.publish, take)
	}
	return append(publish, consume...), b.stop, nil
}}

// synced starts another server of Tidings, whose receipts wait for the disk.
func (b *brokers) synced(ctx context.Context) (_ *tidings, err error) {
	schemas := filepath.Join(b.servers.dir, "schemas.binpb")
	binary := filepath.Join(b.servers.dir, "tidings-binary", "tidings")
	b.servers.other, err = connect(ctx, b.servers, b.data, tidingsClient, "tidings with fsync", binary,
		serverArgs(filepath.Join(b.servers.dir, "synced-data"), "fsync", schemas)...)
	return b.servers.other, err
}

func (b *brokers) stop() error {
	var failed []error
	for _, c := range b.clients {
		failed = append(failed, c.close())
	}
	for _, end := range slices.Backward(b.ended) {
		failed = append(failed, end())
	}
	return errors.Join(append(failed, b.servers.stop())...)
}

// find returns the path of the broker's program.
func (b broker) find() (string, error) {
	if b.program == "" {
		return "", nil
	}
	path, err := exec.LookPath(b.program)
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, b.program))
		}
	}
	return path, err
}

// run starts a server, and waits until it takes connections at an address.
func (b *brokers) run(ctx context.Context, cmd *exec.Cmd, address string) error {
	process, err := testserver.Start(cmd)
	if err != nil {
		return err
	}
	b.ended = append(b.ended, process.Kill) // Its files are thrown away.
	return process.Await(ctx, testserver.ReadyWithin, func() (bool, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, nil //nolint:nilerr // Not yet.
		}
		return true, conn.Close()
	})
}

// dir is a directory below that of the servers.
func (b *brokers) dir(name string) string { return filepath.Join(b.servers.dir, name) }

// freePort is one that nothing listens on at present, for servers that don't say which
// they took.
func freePort(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return "", errors.New("no address of TCP")
	}
	return strconv.Itoa(address.Port), nil
}
