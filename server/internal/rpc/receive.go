package rpc

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// bodyLimit is what the body of a call with one message may be.
type bodyLimit struct {
	bytes   int
	allowed int // Of a message, which may be fewer.
	time    time.Duration
	late    *service.Error // What the call ends with after that time.
}

// bodyLimits are those of the procedures whose request is one message.
func bodyLimits(cfg Config) map[string]bodyLimit {
	limits := make(map[string]bodyLimit)
	add := func(methods protoreflect.MethodDescriptors, limit bodyLimit) {
		for i := range methods.Len() {
			if method := methods.Get(i); !method.IsStreamingClient() {
				limits[fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())] = limit
			}
		}
	}
	contract := newBodyLimit(hardLimit(cfg.MaxRequestBytes), cfg.MaxRequestBytes, cfg.ReceiveTimeout)
	for _, name := range serviceNames {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if found, ok := descriptor.(protoreflect.ServiceDescriptor); err == nil && ok {
			add(found.Methods(), contract)
		}
	}
	add(grpc_health_v1.File_grpc_health_v1_health_proto.Services().Get(0).Methods(),
		newBodyLimit(auxiliaryBytes, auxiliaryBytes, cfg.ReceiveTimeout))
	return limits
}

func newBodyLimit(bytes, allowed int, timeout time.Duration) bodyLimit {
	return bodyLimit{
		bytes:   bytes,
		allowed: allowed,
		time:    timeout,
		late: &service.Error{
			Reason:  tidingsv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED,
			Message: fmt.Sprintf("the request didn't come within %s", timeout),
		},
	}
}

// limitBody ends a call, in the protocol of the call, whose one message is too
// large or doesn't come in time. One that is announced to be too large isn't read
// at all. A stream may be as long, and as slow, as it likes: connect-go has the
// limit of its messages. What of a body the handler doesn't read has the same
// time, since over HTTP/1.1 the server reads it before it answers.
func limitBody(next http.Handler, cfg Config) http.Handler {
	limits := bodyLimits(cfg)
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, ok := limits[r.URL.Path]
		switch {
		case r.ContentLength == 0:
			next.ServeHTTP(w, r)
			return
		case ok && r.ContentLength > int64(limit.bytes) && writer.IsSupported(r):
			_ = writer.Write(w, r, connectError(service.TooLarge(int(r.ContentLength), limit.allowed)))
			return
		}
		body := &limitedBody{ReadCloser: r.Body, limit: limit}
		if ok {
			body.timer = time.AfterFunc(limit.time, func() { body.interrupt(w) })
		} else {
			body.limit.bytes = math.MaxInt
		}
		defer func() {
			if unread := body.end(); unread && r.ProtoMajor < 2 {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(cfg.ReceiveTimeout)) // The connection may be gone.
			}
		}()
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// limitedBody is a body within its limit.
type limitedBody struct {
	io.ReadCloser

	limit bodyLimit
	read  int
	timer *time.Timer // nil: there is no hurry.

	// Of a stream, one goroutine reads while another leaves.
	mu    sync.Mutex
	ended bool // It was read to its end or to an error, or nothing more is read.
	late  bool
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += n
	if b.read <= b.limit.bytes && err == nil {
		return n, nil
	}
	if b.read > b.limit.bytes {
		// A client that still sends might not see the answer, and the time is
		// limited.
		rest, _ := io.Copy(io.Discard, b.ReadCloser)
		b.read += int(rest)
		err = connectError(service.TooLarge(b.read, b.limit.allowed))
	}
	b.end()
	if b.isLate() {
		err = connectError(b.limit.late)
	}
	return n, err
}

// end stops the clock. It reports whether the body had not ended before.
func (b *limitedBody) end() (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	first = !b.ended
	b.ended = true
	return first
}

func (b *limitedBody) isLate() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.late
}

// interrupt makes the reading fail. It waits for the handler to be there still.
func (b *limitedBody) interrupt(w http.ResponseWriter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.late = true
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // The connection may be gone.
	}
}

// clockKey is under which the context of a call over native gRPC has the clock
// of its request.
type clockKey struct{}

// clock cancels a call over native gRPC whose one message doesn't come in time.
// Its size is grpc-go's to limit.
func clock(cfg Config) tap.ServerInHandle {
	limits := bodyLimits(cfg)
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		limit, ok := limits[info.FullMethodName]
		if !ok {
			return ctx, nil
		}
		ctx, cancel := context.WithCancel(ctx)
		return context.WithValue(ctx, clockKey{}, time.AfterFunc(limit.time, cancel)), nil
	}
}

// stopClock stops the clock of a call whose request is there.
func stopClock(ctx context.Context) {
	if clock, ok := ctx.Value(clockKey{}).(*time.Timer); ok {
		clock.Stop()
	}
}
