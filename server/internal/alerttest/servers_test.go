package alerttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tidings/internal/testserver"
)

// examples is the image of the example events.
const examples = "../../../examples/events/events.binpb"

// server is a server in a process of its own.
type server struct {
	*testserver.Server

	t   *testing.T
	url string
}

// serve starts a server with settings, on free ports unless they say others.
func serve(t *testing.T, program string, arguments ...string) *server {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	running, err := testserver.Serve(ctx, exec.CommandContext(ctx, program, append([]string{"serve"}, arguments...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if running.Ended() == nil {
			if err := running.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	s := &server{Server: running, t: t, url: "http://" + running.HTTP}
	if strings.Contains(strings.Join(arguments, " "), "--tls-cert") {
		s.url = "https://" + running.HTTP
	}
	return s
}

// client takes the certificates that the test makes, and speaks HTTP/2 with TLS.
var client = &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // They are the test's own.

type object = map[string]any

// call makes a call in JSON with a credential, which may be empty. It returns the
// answer, or the reason of the error.
func (s *server) call(method, credential string, request object) (answer object, reason string) {
	s.t.Helper()
	body, reason := s.post(method, credential, "application/json", encode(s.t, request))
	if reason != "" {
		return nil, reason
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		s.t.Errorf("%s: %v: %s", method, err, body)
	}
	return answer, ""
}

// stream makes a call with a stream of one request, and returns the whole answer.
func (s *server) stream(method, credential string, request object) string {
	s.t.Helper()
	encoded := encode(s.t, request)
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(encoded))), encoded...)
	body, reason := s.post(method, credential, "application/connect+json", message)
	return string(body) + reason
}

func encode(t *testing.T, request object) []byte {
	t.Helper()
	encoded, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func (s *server) post(method, credential, contentType string, content []byte) (answer []byte, reason string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/tidings.v1."+method, bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err.Error()
	}
	defer response.Body.Close() //nolint:errcheck // It is only read.
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err.Error()
	}
	if response.StatusCode != http.StatusOK {
		return nil, string(body)
	}
	return body, ""
}

// must is call where it has to succeed.
func (s *server) must(method, credential string, request object) object {
	s.t.Helper()
	answer, reason := s.call(method, credential, request)
	if reason != "" {
		s.t.Fatalf("%s: %s", method, reason)
	}
	return answer
}

// again calls something again and again until stop is called.
func again(pause time.Duration, do func()) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); running.Wait() }
}

// cancelled is the payload of an event of the examples, whose reason is wrong where
// valid is false.
func cancelled(id string, valid bool) object {
	order := "7"
	if !valid {
		order = ""
	}
	return object{"id": id, "source": "/test", "data": object{
		"@type": "type.googleapis.com/shop.orders.v1.OrderCancelled", "orderId": order,
		"reason": "CANCELLATION_REASON_OUT_OF_STOCK", "cancelledAt": "2026-11-22T12:00:00Z",
	}}
}

// publish publishes some events, all with the same key.
func (s *server) publish(credential string, count int) {
	s.t.Helper()
	events := make([]object, count)
	for i := range events {
		events[i] = cancelled(rand.Text(), true)
	}
	s.must("PublisherService/Publish", credential, object{"events": events})
}

// subscribe creates a subscription from the end of the topic on.
func (s *server) subscribe(credential, name string, more object) {
	s.t.Helper()
	subscription := object{"name": name, "topic": "orders", "retryPolicy": object{"minBackoff": "0s", "unlimitedAttempts": true}}
	maps.Copy(subscription, more)
	s.must("SubscriptionService/CreateSubscription", credential, object{"subscription": subscription})
}

func (s *server) unsubscribe(credential, name string) {
	s.t.Helper()
	s.must("SubscriptionService/DeleteSubscription", credential, object{"name": name})
}

// pull returns the tokens of deliveries.
func (s *server) pull(credential, name string, count int) (tokens []string) {
	s.t.Helper()
	answer, reason := s.call("ConsumerService/Pull", credential, object{"subscription": name, "maxEvents": count})
	if reason != "" {
		s.t.Errorf("Pull: %s", reason)
	}
	deliveries, _ := answer["deliveries"].([]any)
	for _, delivery := range deliveries {
		if token, ok := delivery.(object)["deliveryToken"].(string); ok {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// settle settles deliveries in one way: {"ack": {}}, for example.
func (s *server) settle(credential, name string, tokens []string, how object) {
	s.t.Helper()
	settlements := make([]object, 0, len(tokens))
	for _, token := range tokens {
		settlement := object{"deliveryToken": token}
		maps.Copy(settlement, how)
		settlements = append(settlements, settlement)
	}
	if _, reason := s.call("ConsumerService/Settle", credential, object{"subscription": name, "settlements": settlements}); reason != "" {
		s.t.Errorf("Settle: %s", reason)
	}
}

// write writes a file in one step.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate writes a certificate for the loopback address that ends then, and
// its key.
func writeCertificate(t *testing.T, dir string, ends time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ends.Unix()), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "server-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	write(t, filepath.Join(dir, "server.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
}
