package clustertest

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"
)

// cluster is everything that runs.
type cluster struct {
	t        *testing.T
	nats     *natsCluster
	replicas []*replica
	load     *load
	watch    *watch
	observed time.Duration
}

// fault is something that happens to a cluster.
type fault struct {
	name string
	what string
	// cuts says that it needs links.
	cuts bool
	// lasts is how long it lasts, besides what strike takes.
	lasts time.Duration
	// strike makes it happen. What it returns ends it.
	strike func(c *cluster) (end func())
	// publish is how long publishing may stop at most. 0: as long as it lasts,
	// and some time more.
	publish time.Duration
	// elects says that NATS has to find a leader meanwhile, which may take longer
	// than publish; then that is the bound, and a little more.
	elects bool
}

const (
	// restartAfter is how long a process that was killed is away.
	restartAfter = 3 * time.Second
	// replicaBound and leaderBound are how long publishing may stop when a replica
	// of the server, or the NATS server with the leader of a topic, goes away.
	replicaBound = 3 * time.Second
	leaderBound  = 8 * time.Second
	// observed is for how long service is watched after a fault; shortly in the
	// run of a single fault.
	observed        = 15 * time.Second
	observedShortly = 4 * time.Second
	// recovery bounds the time until everything is replicated again.
	recovery = 2 * time.Minute
)

var faults = []fault{
	{name: "none", what: "none", lasts: 5 * time.Second, publish: replicaBound, strike: func(*cluster) func() { return func() {} }},
	{
		name: "kill-replica", what: "kill -9 of a replica that owns nothing", lasts: restartAfter, publish: replicaBound,
		strike: func(c *cluster) func() { return c.kill(&c.replicas[(c.owner()+1)%members].program) },
	},
	{
		name: "kill-owner", what: "kill -9 of the owner", lasts: restartAfter, publish: replicaBound,
		strike: func(c *cluster) func() { return c.kill(&c.replicas[c.owner()].program) },
	},
	{
		name: "stop-replica", what: "SIGTERM of the owner", lasts: restartAfter, publish: replicaBound,
		strike: func(c *cluster) func() {
			r := c.replicas[c.owner()]
			c.stop(r)
			return r.start
		},
	},
	{
		name: "kill-leader", what: "kill -9 of the NATS leader", lasts: restartAfter, publish: leaderBound, elects: true,
		strike: func(c *cluster) func() { return c.kill(&c.leader().program) },
	},
	{
		name: "kill-two-nats", what: "kill -9 of two NATS for 10 s", lasts: 10 * time.Second, elects: true,
		strike: func(c *cluster) func() {
			leader := c.leader()
			other := c.nats.servers[(slices.Index(c.nats.servers, leader)+1)%members]
			first, second := c.kill(&leader.program), c.kill(&other.program)
			return func() { first(); second() }
		},
	},
	{
		name: "hang-leader", what: "SIGSTOP of the NATS leader for 20 s", lasts: 20 * time.Second, publish: leaderBound, elects: true,
		strike: func(c *cluster) func() { return c.hang(&c.leader().program) },
	},
	{
		name: "hang-owner", what: "SIGSTOP of the owner for 30 s", lasts: 30 * time.Second, publish: replicaBound,
		strike: func(c *cluster) func() { return c.hang(&c.replicas[c.owner()].program) },
	},
	{
		name: "cut-leader", what: "NATS leader cut off for 20 s", lasts: 20 * time.Second, publish: leaderBound, elects: true, cuts: true,
		strike: func(c *cluster) func() { return c.cut(&c.leader().program) },
	},
	{
		name: "cut-owner", what: "owner cut off from NATS for 20 s", lasts: 20 * time.Second, publish: replicaBound, cuts: true,
		strike: func(c *cluster) func() { return c.cut(&c.replicas[c.owner()].program) },
	},
	{
		name: "kill-all-nats", what: "kill -9 of all NATS, back after 3 s", lasts: restartAfter, elects: true,
		strike: func(c *cluster) func() {
			var back []func()
			for _, s := range c.nats.servers {
				back = append(back, c.kill(&s.program))
			}
			return func() {
				for _, start := range back {
					start()
				}
			}
		},
	},
	{
		name: "restart-replicas", what: "restart of all replicas in turn", publish: replicaBound,
		strike: func(c *cluster) func() {
			for _, r := range c.replicas {
				c.stop(r)
				r.start()
				c.await(r.name+" is ready", func(ctx context.Context) error { return ready(ctx, c.nats.http, r) })
			}
			return func() {}
		},
	},
}

// owner is the number of the replica that owns the most.
func (c *cluster) owner() (number int) {
	c.t.Helper()
	c.await("there is an owner", func(ctx context.Context) (err error) {
		number, err = c.nats.owner(ctx)
		return err
	})
	return number
}

// leader is the NATS server that leads a topic.
func (c *cluster) leader() *natsServer {
	c.t.Helper()
	number := 0
	c.await("there is a leader", func(ctx context.Context) (err error) {
		number, err = c.nats.leader(ctx, streamOf(byRequest))
		return err
	})
	return c.nats.servers[number]
}

func (c *cluster) kill(p *program) (end func()) {
	p.end(syscall.SIGKILL)
	c.t.Logf("killed %s", p.name)
	return p.start
}

func (c *cluster) hang(p *program) (end func()) {
	p.signal(syscall.SIGSTOP)
	c.t.Logf("stopped %s", p.name)
	return func() { p.signal(syscall.SIGCONT) }
}

func (c *cluster) cut(p *program) (end func()) {
	p.host.cut()
	c.t.Logf("cut off %s", p.name)
	return p.host.heal
}

// stop stops a replica in good order.
func (c *cluster) stop(r *replica) {
	took := r.end(syscall.SIGTERM)
	c.watch.stopped(took)
	c.t.Logf("stopped %s in %s", r.name, took.Round(time.Millisecond))
}

// await waits until a condition holds.
func (c *cluster) await(what string, condition func(context.Context) error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), recovery)
	defer cancel()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		if !pause(ctx, 4*again) {
			c.t.Fatalf("not so in %s: %s: %v", recovery, what, err)
		}
	}
}

// awaitHealth waits until everything is replicated and every replica ready.
func (c *cluster) awaitHealth() {
	c.t.Helper()
	c.await("everything is replicated", func(ctx context.Context) error {
		for _, r := range c.replicas {
			if err := ready(ctx, c.nats.http, r); err != nil {
				return err
			}
		}
		return c.nats.healthy(ctx)
	})
}
