package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// procedures says of every procedure whether it is a stream. Others, which clients
// make up, aren't told apart.
var procedures = func() map[string]bool {
	streams := make(map[string]bool)
	add := func(service protoreflect.ServiceDescriptor) {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			streams[fmt.Sprintf("/%s/%s", service.FullName(), method.Name())] = method.IsStreamingClient() || method.IsStreamingServer()
		}
	}
	for _, name := range serviceNames {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if found, ok := descriptor.(protoreflect.ServiceDescriptor); err == nil && ok {
			add(found)
		}
	}
	for _, file := range []protoreflect.FileDescriptor{
		grpc_health_v1.File_grpc_health_v1_health_proto,
		reflectionv1.File_grpc_reflection_v1_reflection_proto,
		reflectionv1alpha.File_grpc_reflection_v1alpha_reflection_proto,
	} {
		add(file.Services().Get(0))
	}
	return streams
}()

// callInfo is what is known of a call when it begins.
func callInfo(path, protocol string, from fmt.Stringer) telemetry.CallInfo {
	stream, known := procedures[path]
	if !known {
		path = telemetry.Other
	}
	return telemetry.CallInfo{Procedure: path, Protocol: protocol, Stream: stream, Peer: from}
}

// address is one as text.
type address string

func (a address) String() string { return string(a) }

// codeName is the name of a status code, as gRPC has it.
func codeName(code tidingsv1.StatusCode) string {
	if code == tidingsv1.StatusCode_STATUS_CODE_UNSPECIFIED {
		return codeNameOK
	}
	if name, ok := strings.CutPrefix(code.String(), "STATUS_CODE_"); ok {
		return name
	}
	return "UNKNOWN" // Not a code of gRPC.
}

const codeNameOK = "OK"

// failed notes what a call ends with.
func failed(ctx context.Context, e *service.Error) {
	if call := telemetry.CallFrom(ctx); call != nil {
		call.Fail(codeName(e.Options().GetCode()), e.Name())
	}
}

// record counts the calls that come over HTTP, whatever becomes of them, and has them
// in the access log.
func record(next http.Handler, metrics *telemetry.Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, known := procedures[r.URL.Path]; r.Method != http.MethodPost && (!known || r.Method != http.MethodGet) {
			next.ServeHTTP(w, r)
			return
		}
		call := metrics.Begin(callInfo(r.URL.Path, protocolOf(r), address(r.RemoteAddr)))
		recorded := &recordedWriter{ResponseWriter: w, call: call, status: http.StatusOK}
		defer func() {
			if !call.Failed() {
				recorded.fail()
			}
			call.End()
		}()
		r = r.WithContext(telemetry.NewContext(r.Context(), call))
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &recordedBody{r.Body, call}
		}
		next.ServeHTTP(recorded, r)
	})
}

func protocolOf(r *http.Request) string {
	switch contentType := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(contentType, webType):
		return telemetry.ProtocolGRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return telemetry.ProtocolGRPCHTTP
	default:
		return telemetry.ProtocolConnect
	}
}

// recordedBody counts what is read of a request.
type recordedBody struct {
	io.ReadCloser

	call *telemetry.Call
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.call.Received(n)
	return n, err
}

// recordedWriter counts what is written of a response.
type recordedWriter struct {
	http.ResponseWriter

	call   *telemetry.Call
	status int
}

func (w *recordedWriter) WriteHeader(code int) {
	w.status = code
	w.ResponseWriter.WriteHeader(code)
}

func (w *recordedWriter) Write(data []byte) (int, error) {
	n, err := w.ResponseWriter.Write(data)
	w.call.Sent(n)
	return n, err
}

// Flush is what connect-go looks for.
func (w *recordedWriter) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush() // The connection may be gone.
}

// Unwrap is what http.ResponseController looks for.
func (w *recordedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// statuses are the codes of the statuses of HTTP that a call can end with before it
// has come to a handler.
var statuses = map[int]codes.Code{
	http.StatusBadRequest:            codes.InvalidArgument,
	http.StatusUnauthorized:          codes.Unauthenticated,
	http.StatusForbidden:             codes.PermissionDenied,
	http.StatusNotFound:              codes.Unimplemented,
	http.StatusMethodNotAllowed:      codes.Unimplemented,
	http.StatusUnsupportedMediaType:  codes.Unimplemented,
	http.StatusTooManyRequests:       codes.ResourceExhausted,
	http.StatusRequestEntityTooLarge: codes.ResourceExhausted,
	http.StatusServiceUnavailable:    codes.Unavailable,
}

// fail finds out, of a call for which nobody said so, whether it failed.
func (w *recordedWriter) fail() {
	if w.status != http.StatusOK {
		code, ok := statuses[w.status]
		if !ok {
			code = codes.Unknown
		}
		w.call.Fail(codeName(tidingsv1.StatusCode(code)), "")
		return
	}
	for _, key := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if number, err := strconv.ParseUint(w.Header().Get(key), 10, 32); err == nil && number != 0 {
			w.call.Fail(codeName(tidingsv1.StatusCode(number)), "")
		}
	}
}

// recorder is record for native gRPC. A call that is refused before it is looked at
// doesn't come to it: see refused.
type recorder struct{ metrics *telemetry.Metrics }

// TagRPC implements stats.Handler. Of a procedure that there isn't, grpc-go doesn't say
// that the call has ended.
func (h recorder) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	call := h.begin(ctx, info.FullMethodName)
	if _, known := procedures[info.FullMethodName]; !known {
		call.Fail(codeName(tidingsv1.StatusCode_STATUS_CODE_UNIMPLEMENTED), "")
		call.End()
		return ctx
	}
	if session := auth.FromContext(ctx); session != nil {
		call.SetPrincipal(session.Principal().Name)
	}
	return telemetry.NewContext(ctx, call)
}

func (h recorder) begin(ctx context.Context, method string) *telemetry.Call {
	var from fmt.Stringer = address("")
	if caller, ok := peer.FromContext(ctx); ok {
		from = caller.Addr
	}
	return h.metrics.Begin(callInfo(method, telemetry.ProtocolGRPC, from))
}

// refused counts a call whose caller may not call.
func (h recorder) refused(ctx context.Context, method string, e *service.Error) {
	call := h.begin(ctx, method)
	call.Fail(codeName(e.Options().GetCode()), e.Name())
	call.End()
}

// HandleRPC implements stats.Handler.
func (recorder) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call := telemetry.CallFrom(ctx)
	switch event := event.(type) {
	case *stats.InPayload:
		call.Received(event.WireLength)
	case *stats.OutPayload:
		call.Sent(event.WireLength)
	case *stats.End:
		if event.Error != nil && !call.Failed() {
			call.Fail(codeName(tidingsv1.StatusCode(status.Code(event.Error))), "")
		}
		call.End()
	}
}

// TagConn implements stats.Handler.
func (recorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (recorder) HandleConn(context.Context, stats.ConnStats) {}
