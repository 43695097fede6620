package daemon_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/daemon"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// TestCredentialsStaySecret sends credentials of all kinds, right and wrong, over every
// protocol, to a server that logs all that it can: nothing of them is in its output, its
// audit log, its metrics or its responses.
func TestCredentialsStaySecret(t *testing.T) {
	dir := t.TempDir()
	s := &sender{t: t, credentials: credentials(t, dir)}
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.LogLevel = filepath.Join(dir, "data"), "debug"
	cfg.AccessFile, cfg.AuditLog = filepath.Join(dir, "access.yaml"), filepath.Join(dir, "audit.jsonl")
	s.server = start(t, cfg)
	conn := s.server.dial(t)
	for name, credential := range s.credentials {
		for path, request := range map[string]proto.Message{
			"/tidings.v1.TopicService/ListTopics":   new(tidingsv1.ListTopicsRequest),
			"/tidings.v1.TopicService/CreateTopic":  &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "orders"}},
			"/tidings.v1.PublisherService/Publish":  &tidingsv1.PublishRequest{Topic: "orders", Events: []*tidingsv1.Event{{Id: "1"}}},
			"/tidings.v1.ReaderService/Read":        &tidingsv1.ReadRequest{Topic: "orders", MaxEvents: 1, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}},
			"/tidings.v1.TopicService/NothingThere": new(tidingsv1.ListTopicsRequest),
		} {
			for protocol := range envelopes {
				s.http(name, path, protocol, request, credential)
			}
			s.native(name, conn, path, request, credential)
		}
		for _, path := range []string{"/metrics", "/healthz", "/nothing", "/tidings.v1.TopicService/ListTopics?encoding=json&message=%7B%7D&connect=v1"} {
			s.get(name, path, credential)
		}
	}
	s.server.end(syscall.SIGTERM)
	audit, err := os.ReadFile(cfg.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	output := s.server.Output()
	for what, text := range map[string]string{"the responses": s.received.String(), "the output": output, "the audit log": string(audit)} {
		for name, credential := range s.credentials {
			if part := within(text, credential); part != "" {
				t.Errorf("%s of %s is in %s: %q", part, name, what, credential)
			}
		}
	}
	// All of them have something to say of the calls.
	for text, wants := range map[string][]string{
		s.received.String(): {"UNAUTHENTICATED", "PERMISSION_DENIED", "EVENT_INVALID", "tidings_access_reloads_total", "key:reader may not"},
		output:              {`"msg":"call refused"`, "there is no API key", "the secret of API key", "was revoked", "signature is invalid"},
		string(audit):       {`"principal":"key:admin"`, `"principal":"corp:ada"`, "PERMISSION_DENIED"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("nothing says %s, in %.300s", want, text)
			}
		}
	}
}

// credentials writes an access file, and returns values of the Authorization header.
func credentials(t *testing.T, dir string) map[string]string {
	t.Helper()
	all, keys := make(map[string]string), new(auth.KeyFile)
	for _, name := range []string{"admin", "reader", "revoked", "expired"} {
		var expires time.Time
		if name == "expired" {
			expires = time.Now().Add(-time.Hour)
		}
		key, stored, err := auth.NewKey(name, time.Now(), expires)
		if err != nil {
			t.Fatal(err)
		}
		if name == "revoked" {
			stored.Revoked = time.Now()
		}
		keys.Keys = append(keys.Keys, stored)
		all["the key "+name] = "Bearer " + key
	}
	secret := func() string { return rand.Text() + rand.Text() }
	admin := all["the key admin"]
	all["a key with another secret"] = admin[:strings.LastIndexByte(admin[:len("Bearer tidings_")+20], '_')+1] + secret()
	all["a key without an id"] = "Bearer tidings_" + secret()
	all["a secret alone"] = "Bearer " + secret()
	all["a key in another scheme"] = "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+secret()))
	all["a key that isn't known"] = "Bearer tidings_0123456789ab_" + secret()
	all["a token that is too long"] = "Bearer " + strings.Repeat(secret(), 200)
	all["a text with dots"] = "Bearer " + secret() + "." + secret() + "." + secret()
	maps.Copy(all, jwts(t, dir))
	if err := keys.Write(filepath.Join(dir, "keys.yaml")); err != nil {
		t.Fatal(err)
	}
	access := `api_keys: keys.yaml
issuers: [{name: corp, issuer: 'https://login.example', audiences: [tidings], jwks_file: jwks.json}]
grants:
- {principals: ['key:admin', 'corp:ada'], roles: [admin]}
- {principals: ['key:reader'], roles: [read], topics: [orders]}
`
	if err := os.WriteFile(filepath.Join(dir, "access.yaml"), []byte(access), 0o600); err != nil {
		t.Fatal(err)
	}
	return all
}

// jwts writes the keys of an issuer, and returns tokens, of which one is right.
func jwts(t *testing.T, dir string) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys": [{"kty": "EC", "kid": "one", "crv": "P-256", "x": %q, "y": %q}]}`, encode(point[1:33]), encode(point[33:]))
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := make(map[string]string)
	for name, changes := range map[string]jwt.MapClaims{
		"a token": {}, "an expired token": {"exp": 1}, "a token of another issuer": {"iss": "https://other.example"},
		"a token of another audience": {"aud": "other"}, "a token without a name": {"sub": 7},
	} {
		claims := jwt.MapClaims{"iss": "https://login.example", "aud": "tidings", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}
		maps.Copy(claims, changes)
		token, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		signed[name] = "Bearer " + token
	}
	content := signed["a token"][:strings.LastIndexByte(signed["a token"], '.')+1]
	signed["a token with another signature"] = content + encode([]byte(rand.Text() + rand.Text() + rand.Text())[:64])
	return signed
}

// within returns a part of a credential that a text has, or nothing: of what proves
// something a dozen characters are too many.
func within(text, credential string) string {
	_, secret, _ := strings.Cut(credential, " ")
	if parts := strings.Split(secret, "."); len(parts) == 3 {
		secret = parts[2] // The signature: the rest is what the server says of it.
	}
	if rest, ok := strings.CutPrefix(secret, "tidings_"); ok {
		secret = rest
		if id, rest, ok := strings.Cut(rest, "_"); ok && len(id) == 12 {
			secret = rest
		}
	}
	const tooMuch = 12
	for i := range len(secret) - tooMuch {
		if part := secret[i : i+tooMuch]; strings.Contains(text, part) {
			return part
		}
	}
	return ""
}

// sender makes calls and keeps all that it receives.
type sender struct {
	t           *testing.T
	server      *process
	credentials map[string]string
	received    bytes.Buffer
}

// envelopes are the content types of the HTTP port, and whether messages are framed.
var envelopes = map[string]bool{
	"application/proto": false, "application/json": false, "application/connect+proto": true, "application/connect+json": true,
	"application/grpc": true, "application/grpc+json": true, "application/grpc-web": true, "application/grpc-web+json": true, "application/grpc-web-text": true,
}

func (s *sender) http(name, path, protocol string, message proto.Message, credential string) {
	encode := proto.Marshal
	if strings.HasSuffix(protocol, "json") {
		encode = protojson.Marshal
	}
	body, err := encode(message)
	if err != nil {
		s.t.Fatal(err)
	}
	if envelopes[protocol] {
		body = slices.Concat([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(body))), body)
	}
	if strings.HasSuffix(protocol, "text") {
		body = []byte(base64.StdEncoding.EncodeToString(body))
	}
	s.send(name, http.MethodPost, path, protocol, bytes.NewReader(body), credential)
}

func (s *sender) get(name, path, credential string) {
	s.send(name, http.MethodGet, path, "", http.NoBody, credential)
}

func (s *sender) send(name, method, path, contentType string, body io.Reader, credential string) {
	request, err := http.NewRequestWithContext(deadline(s.t), method, "http://"+s.server.HTTP+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", credential)
	protocols := new(http.Protocols)
	if strings.HasPrefix(contentType, "application/grpc") && !strings.Contains(contentType, "web") {
		protocols.SetUnencryptedHTTP2(true)
		request.Header.Set("TE", "trailers")
	} else {
		protocols.SetHTTP1(true)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		s.t.Fatalf("%s with %s: %v", path, name, err)
	}
	defer response.Body.Close() //nolint:errcheck // It is read to its end.
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s with %s: %v", path, name, err)
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(answer)); err == nil {
		answer = append(answer, decoded...)
	}
	fmt.Fprintln(&s.received, response.Status, response.Header, string(answer), response.Trailer)
}

func (s *sender) native(name string, conn *grpc.ClientConn, path string, message proto.Message, credential string) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(deadline(s.t), "authorization", credential))
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path)
	if err != nil {
		s.t.Fatalf("%s with %s: %v", path, name, err)
	}
	_ = stream.SendMsg(message) // RecvMsg has the error.
	_ = stream.CloseSend()
	for {
		response := new(tidingsv1.ReadResponse) // Whatever it is, it is kept.
		if err = stream.RecvMsg(response); err != nil {
			break
		}
		fmt.Fprintln(&s.received, response)
	}
	header, _ := stream.Header()
	fmt.Fprintln(&s.received, header, stream.Trailer(), err, status.Convert(err).Proto())
}
