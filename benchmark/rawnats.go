package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/tidings/internal/testserver"
)

// serveNATS is the yardstick's server: the version and the settings of the one
// that Tidings embeds, but listening on the loopback interface.
func serveNATS(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("nats-server", flag.ContinueOnError)
	dir := flags.String("data-dir", "", "")
	name := flags.String("name", "yardstick", "")
	sync := flags.Bool("sync-always", false, "")
	cluster := flags.String("cluster", "", "") // The URL of this member's routes. Empty: it is alone.
	routes := flags.String("routes", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options := &server.Options{
		ServerName:         *name,
		SyncAlways:         *sync,
		Host:               "127.0.0.1",
		Port:               server.RANDOM_PORT,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           *dir,
		JetStreamMaxStore:  64 << 30,
		JetStreamMaxMemory: 256 << 20,
		MaxPayload:         8 << 20,
		MaxPending:         256 << 20,
	}
	if err := joinCluster(options, *cluster, *routes); err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(testserver.ReadyWithin) || !s.JetStreamEnabled() {
		return errors.New("NATS with JetStream did not start")
	}
	if err := testserver.Ready(s.Addr().String()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// joinCluster makes the server a member of a cluster.
func joinCluster(options *server.Options, own, routes string) error {
	if own == "" {
		return nil
	}
	address, err := url.Parse(own)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		return err
	}
	options.Cluster = server.ClusterOpts{Name: "bench", Host: address.Hostname(), Port: port}
	options.Routes = server.RoutesFromStr(routes)
	return nil
}

// rawNATS is the raw client.
type rawNATS struct {
	data *dataset
	conn *nats.Conn
	js   jetstream.JetStream
	// single and packed are the streams that were written last, one with a
	// message an event and one with a message a batch.
	single, packed string
	failed         chan error // The first append that failed.
	streams        int
	replicas       int // Copies of each stream. 0: 1.
}

const (
	// asyncPending is the number of messages that the raw client sends before
	// it waits for an answer. More was not faster.
	asyncPending = 8192
	// pullMessages is how many messages the raw consumer asks for at once.
	pullMessages = 5000
)

func newRawNATS(addr string, data *dataset) (*rawNATS, error) {
	r := &rawNATS{data: data, failed: make(chan error, 1)}
	var err error
	if r.conn, err = nats.Connect("nats://" + addr); err != nil {
		return nil, err
	}
	r.js, err = jetstream.New(r.conn,
		jetstream.WithPublishAsyncMaxPending(asyncPending),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			select {
			case r.failed <- err:
			default:
			}
		}))
	return r, err
}

func (r *rawNATS) close() { r.conn.Close() }

// newStream makes a stream in place of another, and returns its name, which is
// its only subject.
func (r *rawNATS) newStream(ctx context.Context, instead string) (string, error) {
	if instead != "" {
		if err := r.js.DeleteStream(ctx, instead); err != nil {
			return "", err
		}
	}
	r.streams++
	name := fmt.Sprintf("bench-%d", r.streams)
	_, err := r.js.CreateStream(ctx, r.config(name))
	return name, err
}

// publishSingle sends a message for each event.
func (r *rawNATS) publishSingle(ctx context.Context) (elapsed time.Duration, err error) {
	if r.single, err = r.newStream(ctx, r.single); err != nil {
		return 0, err
	}
	return r.publish(ctx, r.single, len(r.data.encoded), func(i int) []byte { return r.data.encoded[i] })
}

// publishPacked packs each batch of events into a message.
func (r *rawNATS) publishPacked(ctx context.Context) (elapsed time.Duration, err error) {
	if r.packed, err = r.newStream(ctx, r.packed); err != nil {
		return 0, err
	}
	batch := r.data.batch
	return r.publish(ctx, r.packed, len(r.data.encoded)/batch, func(i int) []byte {
		return pack(r.data.encoded[i*batch : (i+1)*batch])
	})
}

// publish sends messages and waits until all are stored.
func (r *rawNATS) publish(ctx context.Context, stream string, count int, message func(i int) []byte) (time.Duration, error) {
	begun := time.Now()
	for i := range count {
		if _, err := r.js.PublishAsync(stream, message(i), jetstream.WithStallWait(time.Minute)); err != nil {
			return 0, err
		}
	}
	select {
	case <-r.js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	elapsed := time.Since(begun)
	select {
	case err := <-r.failed:
		return 0, err
	default:
	}
	return elapsed, r.expectMessages(ctx, stream, count)
}

func (r *rawNATS) expectMessages(ctx context.Context, stream string, count int) error {
	s, err := r.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if got := s.CachedInfo().State.Msgs; got != uint64(count) {
		return fmt.Errorf("raw NATS stored %d messages of %d", got, count)
	}
	return nil
}

// readSingle reads what publishSingle wrote.
func (r *rawNATS) readSingle(ctx context.Context) (time.Duration, error) {
	return r.read(ctx, r.single, func([]byte) (int, error) { return 1, nil })
}

// readPacked reads what publishPacked wrote and takes it apart.
func (r *rawNATS) readPacked(ctx context.Context) (time.Duration, error) {
	return r.read(ctx, r.packed, unpack)
}

// read reads a stream from its beginning with an ordered consumer.
func (r *rawNATS) read(ctx context.Context, stream string, eventsOf func(message []byte) (int, error)) (time.Duration, error) {
	begun := time.Now()
	consumer, err := r.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullMessages))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for left := len(r.data.encoded); left > 0; {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, err
		}
		n, err := eventsOf(message.Data())
		if err != nil {
			return 0, err
		}
		left -= n
	}
	return time.Since(begun), nil
}

// publisher returns a call that stores the event with a number and waits.
func (r *rawNATS) publisher(ctx context.Context) (call func(number int) error, end func() error, err error) {
	stream, err := r.newStream(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	call = func(number int) error {
		_, err := r.js.Publish(ctx, stream, r.data.encoded[number])
		return err
	}
	return call, func() error { return r.js.DeleteStream(ctx, stream) }, nil
}

// percentile returns the value below which a part of the sorted durations lies.
func percentile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(part*float64(len(sorted))))-1)]
}

// median returns the middle value, or the mean of the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
