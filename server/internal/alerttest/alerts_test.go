package alerttest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
)

// fault is something that goes wrong, the alerts that say so, and what ends it.
type fault struct {
	alerts []string
	begin  func()
	end    func()
}

// place is the servers and the Prometheus of the test.
type place struct {
	t          *testing.T
	dir        string
	program    string
	prometheus *prometheus
	keys       map[string]string // By the name of the principal.
	main       *server           // With TLS, an access file and schemas.
	fired      map[string]bool
	ended      map[string]bool
}

// tidings runs a command and returns what it prints.
func (p *place) tidings(arguments ...string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.program, arguments...)
	cmd.Dir = p.dir
	cmd.Env = testserver.Environ()
	output, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("tidings %q: %v", arguments, err)
	}
	return strings.TrimSpace(string(output))
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

const access = `api_keys: keys.yaml
grants:
- {principals: ["key:admin"], roles: [admin]}
- {principals: ["key:reader"], roles: [read], topics: [nothing]}
- {principals: ["key:limited"], roles: [admin]}
- {principals: ["key:prometheus"], roles: [monitor]}
quotas:
- {principals: ["key:limited"], requests_per_second: 1}
`

func newPlace(t *testing.T) *place {
	t.Helper()
	need(t, "promtool")
	p := &place{t: t, dir: t.TempDir(), keys: make(map[string]string), fired: make(map[string]bool), ended: make(map[string]bool)}
	var err error
	if p.program, err = testserver.Build(t.Context(), "../..", "tidings", p.dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin", "reader", "limited", "prometheus"} {
		p.keys[name] = p.tidings("key", "create", name)
	}
	write(t, p.path("access.yaml"), []byte(access))
	image, err := os.ReadFile(examples)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.path("events.binpb"), image)
	writeCertificate(t, p.dir, time.Now().Add(24*time.Hour))
	p.prometheus = startPrometheus(t, p.keys["prometheus"])
	p.main = serve(t, p.program, "--data-dir", p.path("main"), "--schemas", p.path("events.binpb"), "--access-file", p.path("access.yaml"),
		"--tls-cert", p.path("server.pem"), "--tls-key", p.path("server-key.pem"))
	return p
}

// run begins a fault, waits until its alerts fire, ends it, and waits until they don't.
func (p *place) run(f fault) {
	p.t.Helper()
	f.begin()
	p.wait(f.alerts, true)
	f.end()
	p.wait(f.alerts, false)
}

func (p *place) wait(alerts []string, firing bool) {
	p.t.Helper()
	left := slices.Clone(alerts)
	until(p.t, fmt.Sprintf("%q fire is %v", alerts, firing), func() bool {
		now := p.prometheus.firing()
		left = slices.DeleteFunc(left, func(name string) bool { return now[name] == firing })
		return len(left) == 0
	})
	for _, name := range alerts {
		if firing {
			p.fired[name] = true
		} else {
			p.ended[name] = true
		}
	}
}

// TestAlerts brings faults about, and sees the alerts fire and end.
func TestAlerts(t *testing.T) {
	p := newPlace(t)
	began := time.Now()
	p.prometheus.scrape(p.main.url)
	for _, faults := range [][]fault{p.reloads(), p.callers(), p.deliveries(), p.otherServers()} {
		for _, f := range faults {
			p.run(f)
		}
	}
	for title, exprs := range queries(t) {
		for _, expr := range exprs {
			if points := p.prometheus.points(strings.ReplaceAll(expr, "$__rate_interval", "6s"), began, time.Now()); points == 0 {
				t.Errorf("the panel %q has no data for %s", title, expr)
			}
		}
	}
	p.report()
}

// report says of each alert what was seen.
func (p *place) report() {
	p.t.Helper()
	all, tested := alertNames(p.t), unitTested(p.t)
	var table strings.Builder
	for _, name := range all {
		by := "a fault"
		switch {
		case p.fired[name] && p.ended[name]:
		case slices.Contains(tested, name):
			by = "promtool test rules"
		default:
			p.t.Errorf("nothing has tested %s", name)
			by = "nothing"
		}
		fmt.Fprintf(&table, "%-34s fired and ended by %s\n", name, by)
	}
	panels := queries(p.t)
	p.t.Logf("%d alerts, %d of them by faults on servers; %d panels with %d queries have data\n%s",
		len(all), len(p.fired), len(panels), len(slices.Concat(slices.Collect(maps.Values(panels))...)), table.String())
}

// reloads are faults of files that are read again.
func (p *place) reloads() []fault {
	broken := func(name, content string) (begin, end func()) {
		path := p.path(name)
		before, err := os.ReadFile(path)
		if err != nil {
			p.t.Fatal(err)
		}
		return func() { write(p.t, path, []byte(content)) }, func() { write(p.t, path, before) }
	}
	schemas, schemasBack := broken("events.binpb", "not an image")
	access, accessBack := broken("access.yaml", "grants: nobody")
	key, keyBack := broken("server-key.pem", "not a key")
	return []fault{
		{[]string{"TidingsSchemaReloadFailed"}, schemas, schemasBack},
		{[]string{"TidingsAccessReloadFailed"}, access, accessBack},
		{[]string{"TidingsCertificateReloadFailed"}, key, keyBack},
		{[]string{"TidingsCertificateExpires"}, func() {}, func() { writeCertificate(p.t, p.dir, time.Now().Add(365*24*time.Hour)) }},
	}
}

// callers are faults of those who call.
func (p *place) callers() []fault {
	repeated := func(alert, method, key string, request func() object) fault {
		var stop func()
		return fault{[]string{alert}, func() {
			stop = again(20*time.Millisecond, func() { p.main.call(method, p.keys[key], request()) })
		}, func() { stop() }}
	}
	var stop func()
	topics := func() object { return object{} }
	return []fault{
		repeated("TidingsAuthenticationFailures", "TopicService/ListTopics", "nobody", topics),
		repeated("TidingsPermissionDenied", "TopicService/GetTopic", "reader", func() object { return object{"name": "orders"} }),
		repeated("TidingsQuotaExceeded", "TopicService/ListTopics", "limited", topics),
		{[]string{"TidingsEventsRefused"}, func() {
			wrong := object{"events": []object{cancelled("1", false)}}
			stop = again(20*time.Millisecond, func() {
				p.main.call("PublisherService/Publish", p.keys["admin"], wrong)
				if answer := p.main.stream("PublisherService/PublishStream", p.keys["admin"], object{"publish": wrong}); !strings.Contains(answer, "EVENT_INVALID") {
					p.t.Errorf("a stream is answered with %q", answer)
				}
			})
		}, func() { stop() }},
	}
}

// deliveries are faults of consumers.
func (p *place) deliveries() []fault {
	s, key := p.main, p.keys["admin"]
	nack := func(kind string) object { return object{"nack": object{"kind": kind}} }
	subscribed := func(name string, more object, events int) {
		s.subscribe(key, name, more)
		s.publish(key, events)
	}
	var stop func()
	ended := func(name string) func() {
		return func() { stop(); s.unsubscribe(key, name) }
	}
	return []fault{
		{[]string{"TidingsDeadLetters"}, func() {
			subscribed("dying", nil, 5)
			stop = again(100*time.Millisecond, func() {
				s.publish(key, 1)
				s.settle(key, "dying", s.pull(key, "dying", 2), nack("NACK_KIND_DEAD_LETTER"))
			})
		}, ended("dying")},
		{[]string{"TidingsConsumerGone", "TidingsBacklogOld", "TidingsBacklogGrows"}, func() {
			subscribed("alone", nil, 100)
			stop = again(200*time.Millisecond, func() { s.publish(key, 10) })
		}, func() {
			stop()
			for tokens := s.pull(key, "alone", 1000); len(tokens) > 0; tokens = s.pull(key, "alone", 1000) {
				s.settle(key, "alone", tokens, object{"ack": object{}})
			}
		}},
		{[]string{"TidingsRedeliveries", "TidingsDeadlinesMissed"}, func() {
			subscribed("failing", nil, 20)
			stop = again(50*time.Millisecond, func() {
				tokens := s.pull(key, "failing", 5)
				s.settle(key, "failing", tokens, nack("NACK_KIND_RETRY"))
				s.settle(key, "failing", s.pull(key, "failing", 5), nack("NACK_KIND_RETRY"))
				s.settle(key, "failing", tokens, object{"ack": object{}}) // They are somebody else's now.
			})
		}, ended("failing")},
		{[]string{"TidingsKeysBlocked"}, func() {
			subscribed("ordered", object{"ordering": "ORDERING_KEY"}, 20)
			stop = again(500*time.Millisecond, func() { s.pull(key, "ordered", 5) })
		}, ended("ordered")},
	}
}

// otherServers are faults of servers that the test kills, fills and cuts off.
func (p *place) otherServers() []fault {
	t := p.t
	var other *server
	start := func(arguments ...string) {
		other = serve(t, p.program, append([]string{"--schemas", examples}, arguments...)...)
		p.prometheus.scrape(p.main.url, other.url)
	}
	kill := func() {
		if err := other.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	gone := func() { kill(); p.prometheus.scrape(p.main.url) }
	var conns []net.Conn
	var stop func()
	nats := natstest.Start(t)
	fifo := p.path("access.log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var reader *os.File
	return []fault{
		{[]string{"TidingsDown"}, func() { start("--data-dir", p.path("killed")); kill() }, func() { p.prometheus.scrape(p.main.url) }},
		{[]string{"TidingsSchemasDiffer"}, func() {
			other = serve(t, p.program, "--data-dir", p.path("bare"))
			p.prometheus.scrape(p.main.url, other.url)
		}, gone},
		{[]string{"TidingsDraining"}, func() {
			start("--data-dir", p.path("draining"), "--shutdown-delay", "60s")
			until(t, "it is scraped", func() bool {
				return p.prometheus.points("tidings_draining", time.Now().Add(-2*time.Second), time.Now()) > 0
			})
			if err := syscall.Kill(other.Pid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}, gone},
		{[]string{"TidingsConnections"}, func() {
			start("--data-dir", p.path("connections"), "--max-connections", "20")
			for range 19 {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", other.GRPC)
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
		}, func() {
			for _, conn := range conns {
				_ = conn.Close()
			}
			p.prometheus.scrape(p.main.url)
			kill()
		}},
		{[]string{"TidingsStorageFull", "TidingsStorageFillsUp", "TidingsNotReady"}, func() {
			start("--data-dir", p.path("full"), "--max-store-bytes", "2000000")
			until(t, "the storage is full", func() bool {
				events := make([]object, 100)
				for i := range events {
					events[i] = cancelled(rand.Text(), true)
					events[i]["attributes"] = object{"filler": rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()}
				}
				_, reason := other.call("PublisherService/Publish", "", object{"events": events})
				return strings.Contains(reason, "STORAGE_FULL") || strings.Contains(reason, "storage is full")
			})
		}, func() { other.must("TopicService/DeleteTopic", "", object{"name": "orders"}) }},
		{[]string{"TidingsNATSDisconnected", "TidingsStorageUnavailable", "TidingsErrorRate"}, func() {
			gone()
			start("--nats-url", natstest.URL(nats))
			stop = again(50*time.Millisecond, func() {
				other.call("PublisherService/Publish", "", object{"events": []object{cancelled(rand.Text(), true)}})
			})
			nats.End()
		}, func() { nats.Restart(t); stop() }},
		{[]string{"TidingsAccessLogDropped"}, func() {
			gone()
			var err error
			if reader, err = os.OpenFile(fifo, os.O_RDWR, 0); err != nil {
				t.Fatal(err)
			}
			start("--data-dir", p.path("logging"), "--access-log", fifo)
			stop = again(time.Millisecond, func() {
				for range 20 {
					request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, other.url+"/grpc.health.v1.Health/Check", strings.NewReader("{}"))
					if err != nil {
						return
					}
					request.Header.Set("Content-Type", "application/json")
					if response, err := client.Do(request); err == nil {
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
				}
			})
		}, func() {
			stop()
			gone()
			_ = reader.Close()
		}},
	}
}
