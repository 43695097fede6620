package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisBroker is Redis Streams with an append-only file: pipelines of XADD over four
// connections; one consumer of a group, whose acknowledgements are in pipelines too.
func redisBroker(fsync, durability string) broker {
	return broker{name: "Redis Streams, appendfsync " + fsync, durability: durability, program: "redis-server", start: func(ctx context.Context, b *brokers, program string) (brokerClient, error) {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		dir := b.dir("redis-" + fsync)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		address := "127.0.0.1:" + port
		err = b.run(ctx, exec.CommandContext(context.WithoutCancel(ctx), program, "--bind", "127.0.0.1", "--port", port, "--dir", dir,
			"--save", "", "--appendonly", "yes", "--appendfsync", fsync), address)
		return &redisClient{redis.NewClient(&redis.Options{Addr: address, PoolSize: redisConnections + 1}), b.data}, err
	}}
}

const (
	redisConnections = 4
	redisStream      = "bench"
	redisGroup       = "workers"
)

type redisClient struct {
	*redis.Client

	data *dataset
}

func (r *redisClient) close() error { return r.Close() }

func (r *redisClient) publish(ctx context.Context) (time.Duration, error) {
	if err := r.Del(ctx, redisStream).Err(); err != nil {
		return 0, err
	}
	batch := r.data.batch
	elapsed, err := inParallel(ctx, redisConnections, len(r.data.encoded)/batch, func(ctx context.Context, i int) error {
		_, err := r.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
			for _, event := range r.data.encoded[i*batch : (i+1)*batch] {
				pipeline.XAdd(ctx, &redis.XAddArgs{Stream: redisStream, Values: []any{"e", event}})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	stored, err := r.XLen(ctx, redisStream).Result()
	return elapsed, expect("redis stored", int(stored), len(r.data.encoded), err)
}

func (r *redisClient) consume(ctx context.Context) (time.Duration, error) {
	if err := r.XGroupCreate(ctx, redisStream, redisGroup, "0").Err(); err != nil {
		return 0, err
	}
	var taken atomic.Int64
	const each = 1000 // Events in a request.
	requests := (len(r.data.encoded) + each - 1) / each
	elapsed, err := inParallel(ctx, redisConnections, requests, func(ctx context.Context, _ int) error {
		streams, err := r.XReadGroup(ctx, &redis.XReadGroupArgs{Group: redisGroup, Consumer: "one", Streams: []string{redisStream, ">"}, Count: each, Block: -1}).Result()
		if err != nil {
			return err
		}
		for _, stream := range streams {
			ids := make([]string, len(stream.Messages))
			for i, message := range stream.Messages {
				ids[i] = message.ID
			}
			acknowledged, err := r.XAck(ctx, redisStream, redisGroup, ids...).Result()
			if err != nil {
				return err
			}
			taken.Add(acknowledged)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return elapsed, expect("redis delivered", int(taken.Load()), len(r.data.encoded), r.XGroupDestroy(ctx, redisStream, redisGroup).Err())
}

// expect is the error of a count that isn't what it has to be.
func expect(what string, got, want int, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("%s %d events of %d", what, got, want)
	}
	return err
}
