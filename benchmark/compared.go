package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"example.com/tidings/internal/testserver"
)

// variant is a way to start a server, and to call it, whose cost is measured.
type variant struct {
	name    string
	args    []string          // Further ones of the server.
	env     []string          // Further variables of the server.
	options []grpc.DialOption // Of the client.
}

// comparedWork is what the servers do: publishing in batches on a stream, and one event a
// call.
type comparedWork struct {
	name    string
	measure func(ctx context.Context, t *tidings, least time.Duration, events int) (sample, error)
}

var comparedWorks = []comparedWork{
	{"a stream of batches", func(ctx context.Context, t *tidings, least time.Duration, events int) (sample, error) {
		return throughput(ctx, least, events, t.publishEncoded)
	}},
	{"calls of one event, one at a time", func(ctx context.Context, t *tidings, least time.Duration, events int) (sample, error) {
		return latency(ctx, least, 1, events, t.publisher)
	}},
	{fmt.Sprintf("calls of one event, %d at a time", manyCallers), func(ctx context.Context, t *tidings, least time.Duration, events int) (sample, error) {
		return latency(ctx, least, manyCallers, events, t.publisher)
	}},
}

// comparedTurns is into how many short turns a run is divided: a variant costs less than
// runs differ.
const comparedTurns = 7

// comparedSuite compares servers, which take turns in the same work, with the first of
// them. The variants may use a directory, and what they say ends what they need is called
// when the servers have ended.
func comparedSuite(name, about string, variants func(ctx context.Context, dir, binary string) (all []variant, end func() error, err error)) suite {
	return suite{name, about, comparedTurns, func(ctx context.Context, cfg config, progress io.Writer) (rows []row, _ func() error, err error) {
		s, end := new(servers), nothing
		var clients []*tidings
		stop := func() error {
			var failed []error
			for _, c := range clients {
				failed = append(failed, c.close())
			}
			return errors.Join(append(failed, s.stop(), end())...)
		}
		data, err := buildDataset(cfg, progress)
		if err != nil {
			return nil, stop, err
		}
		if s.dir, err = os.MkdirTemp("", "tidings-"+name+"-"); err != nil {
			return nil, stop, err
		}
		binary, schemas, err := buildServer(ctx, cfg.serverDir, s.dir, "tidings")
		if err != nil {
			return nil, stop, err
		}
		all, ended, err := variants(ctx, s.dir, binary)
		end = ended
		if err != nil {
			return nil, stop, err
		}
		for i, v := range all {
			args := append(serverArgs(filepath.Join(s.dir, fmt.Sprintf("data-%d", i)), cfg.sync, schemas), v.args...)
			cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, args...)
			cmd.Env = append(testserver.Environ(), v.env...)
			p, err := startCommand(ctx, "tidings with "+v.name, cmd)
			if err != nil {
				return nil, stop, err
			}
			s.processes = append(s.processes, p)
			client, err := newTidings(p.GRPC, data, v.options...)
			if err != nil {
				return nil, stop, err
			}
			clients = append(clients, client)
		}
		return comparedRows(cfg.events, all, clients, s.processes), stop, nil
	}}
}

func nothing() error { return nil }

func comparedRows(events int, all []variant, clients []*tidings, processes []*process) (rows []row) {
	for _, work := range comparedWorks {
		of := section{strings.ToUpper(work.name[:1]) + work.name[1:], all[0].name, costing}
		for i, v := range all {
			name := v.name + ", " + work.name
			rows = append(rows, row{
				name: name, label: v.name, section: of, against: all[0].name + ", " + work.name, servers: processes[i : i+1],
				measure: func(ctx context.Context, least time.Duration) (sample, error) {
					return work.measure(ctx, clients[i], least, events)
				},
			})
		}
	}
	return rows
}
