package fuzz

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// The calls are written here down to the bytes, without the libraries that the
// server uses: so that they can be wrong, and so that nothing hides what came.

// transport is a way to call a server.
type transport struct {
	protocol string // "connect", "grpc" or "grpc-web".
	json     bool
	http2    bool
	native   bool // On the port for gRPC.
	get      bool
}

var transports = []transport{
	{protocol: "grpc", http2: true, native: true},
	{protocol: "grpc", http2: true},
	{protocol: "grpc", http2: true, json: true},
	{protocol: "connect", http2: true},
	{protocol: "connect", http2: true, json: true},
	{protocol: "connect"},
	{protocol: "connect", json: true},
	{protocol: "grpc-web"},
	{protocol: "grpc-web", json: true},
	{protocol: "connect", get: true},
	{protocol: "connect", get: true, json: true},
}

func (t transport) String() string {
	name := t.protocol
	for _, part := range []struct {
		is   bool
		name string
	}{{t.native, " native"}, {t.http2 && t.protocol == "connect", " HTTP/2"}, {t.get, " GET"}, {t.json, " JSON"}} {
		if part.is {
			name += part.name
		}
	}
	return name
}

// encoding is how the transport names the encoding of messages.
func (t transport) encoding() string {
	if t.json {
		return "json"
	}
	return "proto"
}

// call is one call, as it is sent.
type call struct {
	rpc       protoreflect.MethodDescriptor
	transport transport
	messages  [][]byte
	header    map[string]string            // Beside or instead of what is right.
	frame     func(i int, b []byte) []byte // Changes a frame with its head. nil: none.
	open      bool                         // The sending side is left open.
	gzip      bool                         // The messages are compressed.
}

// reply is what came back.
type reply struct {
	http     int
	messages [][]byte
	ended    bool // The response came to its end.
	code     codes.Code
	message  string
	details  []*anypb.Any
	metadata int // The size of headers and trailers as HTTP/2 counts it.
}

// reason is the reason of ErrorInfo, or empty.
func (r *reply) info() *errdetails.ErrorInfo {
	for _, detail := range r.details {
		info := new(errdetails.ErrorInfo)
		if detail.MessageIs(info) && detail.UnmarshalTo(info) == nil {
			return info
		}
	}
	return nil
}

// outcome names how the call ended.
func (r *reply) outcome() string {
	switch info := r.info(); {
	case !r.ended:
		return "left"
	case info != nil:
		return r.code.String() + " " + info.GetReason()
	case r.code != codes.OK:
		return r.code.String() + " without a reason"
	case r.http != http.StatusOK:
		return fmt.Sprintf("HTTP %d", r.http)
	}
	return "OK"
}

func streams(rpc protoreflect.MethodDescriptor) bool {
	return rpc.IsStreamingClient() || rpc.IsStreamingServer()
}

// enveloped reports whether the messages are frames with a head.
func (c *call) enveloped() bool { return c.transport.protocol != "connect" || streams(c.rpc) }

func (c *call) request(ctx context.Context, address string) (*http.Request, error) {
	t := c.transport
	target := "http://" + address + "/" + string(c.rpc.Parent().FullName()) + "/" + string(c.rpc.Name())
	if t.get {
		query := url.Values{"connect": {"v1"}, "encoding": {t.encoding()}, "base64": {"1"}, "message": {base64.RawURLEncoding.EncodeToString(c.messages[0])}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target+"?"+query.Encode(), http.NoBody)
		if err == nil {
			c.setHeader(request)
		}
		return request, err
	}
	var body bytes.Buffer
	for i, message := range c.messages {
		flags := byte(0)
		if c.gzip {
			message, flags = compressed(message), 1
		}
		if !c.enveloped() {
			body.Write(message)
			continue
		}
		framed := append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))), message...)
		if c.frame != nil {
			framed = c.frame(i, framed)
		}
		body.Write(framed)
	}
	var reader io.Reader = &body
	if c.open {
		reader = io.MultiReader(&body, untilDone{ctx})
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, reader)
	if err != nil {
		return nil, err
	}
	switch kind := t.encoding(); {
	case t.protocol != "connect":
		request.Header.Set("Content-Type", "application/"+t.protocol+"+"+kind)
		request.Header.Set("TE", "trailers")
	case streams(c.rpc):
		request.Header.Set("Content-Type", "application/connect+"+kind)
	default:
		request.Header.Set("Content-Type", "application/"+kind)
	}
	switch {
	case !c.gzip:
	case t.protocol != "connect":
		request.Header.Set("Grpc-Encoding", "gzip")
	case streams(c.rpc):
		request.Header.Set("Connect-Content-Encoding", "gzip")
	default:
		request.Header.Set("Content-Encoding", "gzip")
	}
	c.setHeader(request)
	return request, nil
}

func decompressed(message []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func compressed(message []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(message) // Into memory.
	_ = w.Close()
	return b.Bytes()
}

func (c *call) setHeader(request *http.Request) {
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
}

// untilDone is the rest of a body that doesn't come.
type untilDone struct{ ctx context.Context } //nolint:containedctx // A reader has no other way to hear of it.

func (r untilDone) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// do makes a call. An error says that the response is not one of the protocol;
// that the caller gave up is none.
func (c *call) do(ctx context.Context, client *http.Client, address string) (*reply, error) {
	request, err := c.request(ctx, address)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return c.cut(ctx, new(reply), err)
	}
	defer response.Body.Close() //nolint:errcheck // Whatever the end, it was read.
	r := &reply{http: response.StatusCode}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return c.cut(ctx, r, err)
	}
	r.ended = true
	for _, header := range []http.Header{response.Header, response.Trailer} {
		for name, values := range header {
			r.metadata += len(name) + len(strings.Join(values, "")) + 32
		}
	}
	if response.Header.Get("Content-Encoding") == "gzip" {
		body, err = decompressed(body)
	}
	if err == nil {
		err = c.read(r, response, body)
	}
	return r, err
}

// read reads the whole response of a call.
func (c *call) read(r *reply, response *http.Response, body []byte) error {
	switch {
	case c.transport.protocol == "connect" && !streams(c.rpc), c.transport.protocol == "connect" && r.http != http.StatusOK:
		return r.readConnect(body)
	case r.http != http.StatusOK:
		return nil
	}
	end, err := r.readFrames(body)
	if err != nil {
		return err
	}
	switch {
	case c.transport.protocol == "connect":
		var last struct {
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(end, &last); err != nil || last.Error == nil {
			return err
		}
		return r.readError(last.Error)
	case response.Header.Get("Grpc-Status") != "":
		return r.readStatus(response.Header)
	case c.transport.protocol == "grpc":
		return r.readStatus(response.Trailer)
	}
	trailer := http.Header{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(end)), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		trailer.Set(name, strings.TrimSpace(value))
		r.metadata += len(line) + 32
	}
	return r.readStatus(trailer)
}

// cut judges a response that ended before its end.
func (c *call) cut(ctx context.Context, r *reply, err error) (*reply, error) {
	if ctx.Err() != nil {
		return r, nil //nolint:nilerr // It was the caller who left.
	}
	if !c.transport.http2 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return r, nil // The server closed a connection just when it was used again, or before it had read all.
	}
	return r, fmt.Errorf("the connection ended: %w", err)
}

func (r *reply) readConnect(body []byte) error {
	if r.http == http.StatusOK {
		r.messages = [][]byte{body}
		return nil
	}
	if !json.Valid(body) {
		return nil // HTTP's own answer, made before the protocol is known.
	}
	return r.readError(body)
}

func (r *reply) readError(text []byte) error {
	var failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	if err := json.Unmarshal(text, &failure); err != nil {
		return err
	}
	name := strings.ToUpper(failure.Code)
	if name == "CANCELED" {
		name = "CANCELLED"
	}
	if err := r.code.UnmarshalJSON([]byte(`"` + name + `"`)); err != nil {
		return err
	}
	r.message = failure.Message
	for _, detail := range failure.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			return err
		}
		r.details = append(r.details, &anypb.Any{TypeUrl: typePrefix + detail.Type, Value: value})
	}
	return nil
}

func (r *reply) readStatus(header http.Header) error {
	code, err := strconv.ParseUint(header.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return fmt.Errorf("grpc-status: %w", err)
	}
	r.code = codes.Code(code)
	if r.message, err = url.PathUnescape(header.Get("Grpc-Message")); err != nil {
		return err
	}
	encoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(header.Get("Grpc-Status-Details-Bin"), "="))
	if err != nil {
		return err
	}
	status := new(spb.Status)
	if err := proto.Unmarshal(encoded, status); err != nil {
		return err
	}
	r.details = status.GetDetails()
	return nil
}

// readFrames reads messages with their heads, and returns what a frame says that
// ends them.
func (r *reply) readFrames(body []byte) (end []byte, err error) {
	for len(body) > 0 {
		if len(body) < 5 || len(body)-5 < int(binary.BigEndian.Uint32(body[1:])) {
			return nil, errors.New("the last frame is cut off")
		}
		flags, length := body[0], int(binary.BigEndian.Uint32(body[1:]))
		content := body[5 : 5+length]
		body = body[5+length:]
		if flags&1 != 0 {
			if content, err = decompressed(content); err != nil {
				return nil, err
			}
		}
		switch {
		case flags <= 1:
			r.messages = append(r.messages, content)
		case len(body) > 0:
			return nil, fmt.Errorf("something follows a frame with the flags %#x", flags)
		default:
			end = content
		}
	}
	return end, nil
}
