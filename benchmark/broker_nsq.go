package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nsqio/go-nsq"
	"github.com/nsqio/nsq/nsqd"

	"example.com/tidings/internal/testserver"
)

const nsqPeer = "nsq-server"

// serveNSQ is a server of NSQ with its default settings, whose topics are on disk beyond
// 10,000 messages in memory.
func serveNSQ(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(nsqPeer, flag.ContinueOnError)
	dir := flags.String("data-dir", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	options := nsqd.NewOptions()
	options.TCPAddress, options.HTTPAddress, options.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0", ""
	options.BroadcastAddress, options.DataPath = "127.0.0.1", *dir
	options.Logger = log.New(io.Discard, "", 0)
	server, err := nsqd.New(options)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Main() }()
	if err := testserver.Ready(server.RealTCPAddr().String()); err != nil {
		return err
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
		server.Exit()
	}
	return err
}

// startNSQ starts this program as the server.
func startNSQ(ctx context.Context, b *brokers, _ string) (brokerClient, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return connect(ctx, b.servers, b.data, newNSQ, "nsq", self, nsqPeer, "--data-dir", filepath.Join(b.servers.dir, "nsq"))
}

type nsqClient struct {
	data     *dataset
	address  string
	producer *nsq.Producer
	topics   int
}

func newNSQ(address string, data *dataset) (brokerClient, error) {
	producer, err := nsq.NewProducer(address, nsq.NewConfig())
	if err != nil {
		return nil, err
	}
	producer.SetLogger(log.New(io.Discard, "", 0), nsq.LogLevelError)
	return &nsqClient{data: data, address: address, producer: producer}, nil
}

func (n *nsqClient) close() error {
	n.producer.Stop()
	return nil
}

func (n *nsqClient) topic() string { return fmt.Sprintf("bench-%d", n.topics) }

// nsqRequests is how many MPUBs wait for their answer at a time.
const nsqRequests = 16

// publish sends the batches with MPUB.
func (n *nsqClient) publish(context.Context) (time.Duration, error) {
	n.topics++
	done := make(chan *nsq.ProducerTransaction, nsqRequests)
	batch, waiting := n.data.batch, 0
	answer := func() error { waiting--; return (<-done).Error }
	begun := time.Now()
	for i := 0; i < len(n.data.encoded); i += batch {
		if waiting == nsqRequests {
			if err := answer(); err != nil {
				return 0, err
			}
		}
		if err := n.producer.MultiPublishAsync(n.topic(), n.data.encoded[i:i+batch], done); err != nil {
			return 0, err
		}
		waiting++
	}
	for waiting > 0 {
		if err := answer(); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// consume takes the messages of a topic whose channel gets all that were published before
// it was there.
func (n *nsqClient) consume(ctx context.Context) (time.Duration, error) {
	if _, err := n.publish(ctx); err != nil { // What the last pass took is gone.
		return 0, err
	}
	config := nsq.NewConfig()
	config.MaxInFlight = 2500
	begun := time.Now()
	consumer, err := nsq.NewConsumer(n.topic(), "workers", config)
	if err != nil {
		return 0, err
	}
	consumer.SetLogger(log.New(io.Discard, "", 0), nsq.LogLevelError)
	all := make(chan struct{})
	var taken atomic.Int64
	const handlers = 4
	consumer.AddConcurrentHandlers(nsq.HandlerFunc(func(*nsq.Message) error {
		if taken.Add(1) == int64(len(n.data.encoded)) {
			close(all)
		}
		return nil
	}), handlers)
	if err := consumer.ConnectToNSQD(n.address); err != nil {
		return 0, err
	}
	select {
	case <-all:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	elapsed := time.Since(begun)
	consumer.Stop()
	<-consumer.StopChan
	return elapsed, nil
}
