package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

//nolint:misspell // Its name.
const (
	mosquittoName    = "Mosquitto"
	mosquittoProgram = "mosquitto"
)

// mosquittoConfig takes away the bounds of queues and of what is under way.
const mosquittoConfig = `listener %s 127.0.0.1
allow_anonymous true
persistence true
persistence_location %s/
user root
max_inflight_messages 0
max_queued_messages 0
log_type error
`

// startMosquitto starts an MQTT broker. It keeps messages in memory, and saves them from
// time to time.
func startMosquitto(ctx context.Context, b *brokers, program string) (brokerClient, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir := b.dir(mosquittoProgram)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config := b.dir(mosquittoProgram + ".conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, mosquittoConfig, port, dir), 0o600); err != nil {
		return nil, err
	}
	m := &mosquittoClient{data: b.data, address: "127.0.0.1:" + port}
	return m, b.run(ctx, exec.CommandContext(context.WithoutCancel(ctx), program, "-c", config), m.address)
}

type mosquittoClient struct {
	data    *dataset
	address string
	pass    int
}

func (*mosquittoClient) close() error { return nil }

const (
	mqttTopic = "bench"
	// mqttPublishers wait for a confirmation each.
	mqttPublishers = 256
	mqttSession    = 3600 // Seconds for which a subscriber's session stays.
)

// connect connects a client, with what it does with messages.
func (m *mosquittoClient) connect(ctx context.Context, id string, session uint32, came func(paho.PublishReceived) (bool, error)) (*paho.Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.address)
	if err != nil {
		return nil, err
	}
	config := paho.ClientConfig{ClientID: id, Conn: conn, PacketTimeout: time.Minute}
	if came != nil {
		config.OnPublishReceived = append(config.OnPublishReceived, came)
	}
	client := paho.NewClient(config)
	most := uint16(65535)
	_, err = client.Connect(ctx, &paho.Connect{
		ClientID: id, KeepAlive: 60,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &session, ReceiveMaximum: &most},
	})
	return client, err
}

// subscriber makes the session that messages are kept for.
func (m *mosquittoClient) subscriber(ctx context.Context) error {
	m.pass++
	client, err := m.connect(ctx, m.session(), mqttSession, nil)
	if err != nil {
		return err
	}
	if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: mqttTopic, QoS: 1}}}); err != nil {
		return err
	}
	return client.Disconnect(&paho.Disconnect{})
}

func (m *mosquittoClient) session() string { return fmt.Sprintf("session-%d", m.pass) }

// forget ends the session with what was kept for it.
func (m *mosquittoClient) forget(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.address)
	if err != nil {
		return err
	}
	client := paho.NewClient(paho.ClientConfig{ClientID: m.session(), Conn: conn, PacketTimeout: time.Minute})
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: m.session(), CleanStart: true, KeepAlive: 60}); err != nil {
		return err
	}
	return client.Disconnect(&paho.Disconnect{})
}

// publish publishes to a topic with a subscriber that is away, so that the messages are
// kept.
func (m *mosquittoClient) publish(ctx context.Context) (time.Duration, error) {
	if err := m.subscriber(ctx); err != nil {
		return 0, err
	}
	elapsed, err := m.send(ctx)
	if err != nil {
		return 0, err
	}
	return elapsed, m.forget(ctx)
}

func (m *mosquittoClient) send(ctx context.Context) (time.Duration, error) {
	client, err := m.connect(ctx, "publisher", 0, nil)
	if err != nil {
		return 0, err
	}
	elapsed, err := inParallel(ctx, mqttPublishers, len(m.data.encoded), func(ctx context.Context, i int) error {
		_, err := client.Publish(ctx, &paho.Publish{Topic: mqttTopic, QoS: 1, Payload: m.data.encoded[i]})
		return err
	})
	if err != nil {
		return 0, err
	}
	return elapsed, client.Disconnect(&paho.Disconnect{})
}

func (m *mosquittoClient) consume(ctx context.Context) (time.Duration, error) {
	if err := m.subscriber(ctx); err != nil {
		return 0, err
	}
	if _, err := m.send(ctx); err != nil {
		return 0, err
	}
	all := make(chan struct{})
	var taken atomic.Int64
	begun := time.Now()
	// The client acknowledges what this returns from.
	client, err := m.connect(ctx, m.session(), 0, func(paho.PublishReceived) (bool, error) {
		if taken.Add(1) == int64(len(m.data.encoded)) {
			close(all)
		}
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-all:
	case <-client.Done():
		return 0, fmt.Errorf("the connection ended after %d events of %d", taken.Load(), len(m.data.encoded))
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return time.Since(begun), client.Disconnect(&paho.Disconnect{})
}
