package jetstream

import (
	"errors"
	"testing"
	"time"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
)

// Connections are where they were once a NATS server is back, and nothing fails on
// the way home.
func TestHome(t *testing.T) {
	t.Parallel()
	members := natstest.Cluster(t)
	e, err := Open(t.Context(), Config{
		URL: natstest.URL(members...), Replicas: 3, Log: discard, homeAfter: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	topic := newTopic(t, e, "a", 1)
	number := 0
	append1 := func() error {
		b := batch("a")
		number++
		b.ID = engine.ID{byte(number), byte(number >> 8), byte(number >> 16)}
		_, err := store(t.Context(), e, topic, b)
		return err
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(40 * time.Second); !holds(); {
			if time.Now().After(deadline) {
				t.Fatalf("it never happens that %s", what)
			}
			if err := append1(); err != nil && !errors.Is(err, engine.ErrUnavailable) {
				t.Fatal(err)
			}
		}
	}
	links := []*link{e.reads, e.writes, e.asks}
	for _, member := range members {
		until("events are stored", func() bool { return append1() == nil })
		host := member.Addr().String()
		member.End()
		until("nothing is connected to it", func() bool {
			for _, l := range links {
				if now := hostOf(l.conn); now == "" || now == host {
					return false
				}
			}
			return append1() == nil
		})
		member.Restart(t)
		until("all are at home", func() bool {
			for _, l := range links {
				if hostOf(l.conn) != l.home.host {
					return false
				}
			}
			return append1() == nil
		})
	}
}
