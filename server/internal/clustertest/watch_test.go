package clustertest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
)

// watch measures, beside the clients, what the cluster says of itself.
type watch struct {
	// elected is when the streams of the topics had leaders.
	elected map[string]*pulse
	// ready and serving are when /readyz and gRPC health said that some replica
	// can do its work.
	ready   pulse
	serving pulse

	mu    sync.Mutex
	stops time.Duration // The longest stop of a replica since the last row.
}

// startWatch watches until the context ends.
func startWatch(ctx context.Context, c *cluster) *watch {
	w := &watch{elected: map[string]*pulse{byRequest: new(pulse), byEvent: new(pulse)}}
	for topic, elected := range w.elected {
		for _, s := range c.nats.servers {
			go every(ctx, func() {
				if info, err := streamInfo(ctx, s.observer, streamOf(topic)); err == nil && info.Cluster != nil && info.Cluster.Leader != "" {
					elected.beat()
				}
			})
		}
	}
	for _, r := range c.replicas {
		go every(ctx, func() {
			if ready(ctx, c.nats.http, r) == nil {
				w.ready.beat()
			}
		})
		go every(ctx, func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			response, err := grpc_health_v1.NewHealthClient(r.conn).Check(ctx, new(grpc_health_v1.HealthCheckRequest))
			if err == nil && response.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
				w.serving.beat()
			}
		})
	}
	return w
}

// every calls f again and again.
func every(ctx context.Context, f func()) {
	for {
		f()
		if !pause(ctx, 4*again) {
			return
		}
	}
}

func (w *watch) stopped(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stops = max(w.stops, took)
}

// row is a line of the table: the longest times without service during a fault
// and after it.
type row struct {
	fault fault
	// publish is of the worse topic, consume of the worst subscription at any of
	// its consumers, and read of the worse reader.
	publish, consume, read time.Duration
	// writer and consumer are the worst single ones.
	writer, consumer time.Duration
	// elect is the longest time in which NATS knew no leader, ready and serving in
	// which no replica said that it can do its work.
	elect, ready, serving time.Duration
	stops                 time.Duration
}

// strike makes a fault happen and measures what it does to the service.
func (c *cluster) strike(f fault) row {
	c.t.Helper()
	c.t.Logf("fault: %s", f.what)
	from := time.Now()
	end := f.strike(c)
	pause(context.Background(), f.lasts)
	end()
	pause(context.Background(), c.observed)
	to := time.Now()
	r := row{
		fault: f, ready: c.watch.ready.gap(from, to), serving: c.watch.serving.gap(from, to),
	}
	for _, elected := range c.watch.elected {
		r.elect = max(r.elect, elected.gap(from, to))
	}
	for _, topic := range c.load.topics {
		if topic.name != backlog {
			r.publish = max(r.publish, topic.pulse.gap(from, to))
		}
	}
	for _, share := range c.load.shares {
		r.consume = max(r.consume, share.pulse.gap(from, to))
		for _, consumer := range share.consumers {
			r.consumer = max(r.consumer, consumer.pulse.gap(from, to))
		}
	}
	for _, reader := range c.load.readers {
		r.read = max(r.read, reader.pulse.gap(from, to))
	}
	for _, writer := range c.load.writers {
		r.writer = max(r.writer, writer.pulse.gap(from, to))
	}
	c.watch.mu.Lock()
	r.stops, c.watch.stops = c.watch.stops, 0
	c.watch.mu.Unlock()
	c.t.Logf("%s", r)
	return r
}

// compare says what took longer than it is to take. It is no failure: how long
// something takes depends on the machine too.
func (c *cluster) compare(r row) {
	c.t.Helper()
	bound := r.fault.publish
	if bound == 0 {
		bound = r.fault.lasts + c.observed
	}
	if r.fault.elects {
		bound = max(bound, r.elect+replicaBound)
	}
	if r.publish > bound {
		c.t.Logf("%s: publishing stopped for %s, longer than the %s that it is to take", r.fault.what, r.publish, bound)
	}
}

const heading = "| fault | publish | consume | read | a writer | a consumer | no leader in NATS | no /readyz | no gRPC health | a stop |\n" +
	"|---|---|---|---|---|---|---|---|---|---|\n"

func (r row) String() string {
	values := []time.Duration{r.publish, r.consume, r.read, r.writer, r.consumer, r.elect, r.ready, r.serving, r.stops}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", r.fault.what)
	for _, value := range values {
		if value == 0 {
			b.WriteString(" |")
		} else {
			fmt.Fprintf(&b, " %.1f |", value.Seconds())
		}
	}
	return b.String()
}
