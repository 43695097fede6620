package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// clusterMembers are the NATS servers, and the replicas of Tidings.
const clusterMembers = 3

// cluster is NATS servers that sync each write, and replicas of Tidings on them.
type cluster struct {
	servers  *servers
	nats     []*process
	raw      *rawNATS
	replicas []*tidings
	tidings  []*process
}

// clusterSuite measures one and three replicas on three NATS servers, all of which have
// each event on the disk before the receipt, and one server on its own disk.
var clusterSuite = suite{"cluster", "measure one and three replicas on three NATS servers", 1, func(ctx context.Context, cfg config, progress io.Writer) ([]row, func() error, error) {
	c := &cluster{servers: new(servers)}
	data, err := buildDataset(cfg, progress)
	if err != nil {
		return nil, c.stop, err
	}
	if c.servers.dir, err = os.MkdirTemp("", "tidings-cluster-"); err != nil {
		return nil, c.stop, err
	}
	if err := c.start(ctx, cfg, data); err != nil {
		return nil, c.stop, err
	}
	return c.rows(cfg), c.stop, nil
}}

func (c *cluster) stop() error {
	var failed []error
	for _, r := range c.replicas {
		failed = append(failed, r.close())
	}
	if c.raw != nil {
		c.raw.close()
	}
	return errors.Join(append(failed, c.servers.stop())...)
}

func (c *cluster) start(ctx context.Context, cfg config, data *dataset) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := c.servers.dir
	routes := make([]string, clusterMembers)
	for i := range routes {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		routes[i] = "nats://127.0.0.1:" + port
	}
	var urls []string
	for i, route := range routes {
		p, err := startProcess(ctx, "nats", self, "nats-server", "--data-dir", filepath.Join(dir, fmt.Sprint("nats-", i)),
			"--name", fmt.Sprint("nats-", i), "--sync-always", "--cluster", route, "--routes", strings.Join(routes, ","))
		if err != nil {
			return err
		}
		c.servers.processes, c.nats = append(c.servers.processes, p), append(c.nats, p)
		urls = append(urls, "nats://"+p.GRPC)
	}
	if c.raw, err = newRawNATS(c.nats[0].GRPC, data); err != nil {
		return err
	}
	c.raw.replicas = clusterMembers
	if err := c.ready(ctx); err != nil {
		return err
	}
	binary, schemas, err := buildServer(ctx, cfg.serverDir, dir, "tidings")
	if err != nil {
		return err
	}
	for i := range clusterMembers {
		r, err := connect(ctx, c.servers, data, tidingsClient, fmt.Sprint("replica-", i), binary,
			"serve", "--schemas", schemas, "--nats-url", strings.Join(urls, ","), "--replicas", fmt.Sprint(clusterMembers))
		if err != nil {
			return err
		}
		r.prefix = fmt.Sprintf("replica-%d-", i)
		c.replicas, c.tidings = append(c.replicas, r), append(c.tidings, c.servers.processes[len(c.servers.processes)-1])
	}
	return nil
}

// ready waits until the NATS servers have found each other.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var failed error
	for {
		attempt, end := context.WithTimeout(ctx, 5*time.Second)
		stream, err := c.raw.newStream(attempt, "")
		end()
		if err == nil {
			return c.raw.js.DeleteStream(ctx, stream)
		}
		failed = err
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the NATS servers don't find each other: %w", failed)
		}
	}
}

func (c *cluster) rows(cfg config) []row {
	of := section{"Publish, three copies, synced on each", "raw R3", costing}
	const raw = "raw NATS, a message an event"
	rows := []row{
		moving(cfg, of, raw, raw, c.raw.publishSingle),
		moving(cfg, of, "raw NATS, packed by its client", raw, c.raw.publishPacked),
	}
	for i := range rows {
		rows[i].servers = c.nats
	}
	for _, count := range []int{1, clusterMembers} {
		pass := func(ctx context.Context) (elapsed time.Duration, err error) {
			for range 3 { // A leader of NATS may change where the machine is busy: what is refused then is published anew.
				elapsed, err = inParallel(ctx, count, count, func(ctx context.Context, i int) error {
					_, err := c.replicas[i].publishEncoded(ctx)
					return err
				})
				if refused, ok := errors.AsType[*refusedError](err); !ok || refused.detail.GetReason() != tidingsv1.ErrorReason_ERROR_REASON_STORAGE_UNAVAILABLE {
					break
				}
			}
			return elapsed, err
		}
		at := cfg
		at.events *= count
		name := fmt.Sprintf("Tidings, %d of %d replicas, a topic and a publisher each", count, clusterMembers)
		r := moving(at, of, name, raw, pass)
		r.servers = slices.Concat(c.nats, c.tidings)
		rows = append(rows, r)
	}
	return rows
}

// config are the settings of a stream.
func (r *rawNATS) config(name string) jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage, Replicas: max(1, r.replicas)}
}
