package rpc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"example.com/tidings/server/internal/service"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// Who calls without a client, as with curl, is told what to do.

// frontPage says what the server is, and where its services are.
func frontPage(s *service.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		info, err := s.GetServerInfo(r.Context(), new(tidingsv1.GetServerInfoRequest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		//nolint:gosec // No browser takes it for HTML.
		fmt.Fprintf(w, `Tidings %s stores and delivers events.

It speaks Connect, gRPC-Web and gRPC. Call it with POST and JSON:

  curl --json '{}' http://%s/tidings.v1.TopicService/ListTopics

Services: %s
Health:   /healthz, /readyz, %s
Metrics:  /metrics

Reflection tells the calls of a service, and what is in its source under docs/
tells the rest. Native gRPC has a port of its own.
`, info.GetVersion(), r.Host, strings.Join(serviceNames, "\n          "), healthService)
	}
}

// getPaths are asked with GET.
var getPaths = []string{"/healthz", "/readyz", "/metrics"}

// nowhere answers a path that there isn't.
func nowhere(w http.ResponseWriter, r *http.Request) {
	message := elsewhere(r)
	writer := connect.NewErrorWriter()
	switch contentType := r.Header.Get("Content-Type"); {
	case slices.Contains(getPaths, r.URL.Path) && r.Method != http.MethodGet: // The mux takes the others.
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, r.URL.Path+" is asked with GET", http.StatusMethodNotAllowed)
	case r.Method != http.MethodPost:
		http.Error(w, message, http.StatusNotFound)
	case strings.HasPrefix(contentType, "application/grpc"), strings.HasPrefix(contentType, "application/connect+"):
		_ = writer.Write(w, r, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("%s", message))) // The connection may be gone.
	default:
		writeHint(w, http.StatusNotFound, "unimplemented", message)
	}
}

// elsewhere says that there is nothing at the path of a request, and what is
// probably meant.
func elsewhere(r *http.Request) string {
	path := r.URL.Path
	called, method, _ := strings.Cut(strings.Trim(path, "/"), "/")
	problem := fmt.Sprintf("there is nothing at %q", shortened(path))
	var calls, sameMethod []string
	for _, name := range slices.Concat(serviceNames, auxiliaryNames) {
		methods := methodsOf(name)
		for _, there := range methods {
			call := "/" + name + "/" + there
			calls = append(calls, call)
			if strings.EqualFold(there, method) {
				sameMethod = append(sameMethod, call)
			}
		}
		if name == called {
			problem = fmt.Sprintf("%s has no call %q; it has %s", name, shortened(method), strings.Join(methods, ", "))
		}
	}
	meant := nearest(path, slices.Concat(calls, getPaths))
	switch {
	case meant != "":
	case len(sameMethod) > 0:
		meant = sameMethod[0]
	default:
		return problem + "; GET / says what is there"
	}
	return fmt.Sprintf("%s; do you mean %s?", problem, meant)
}

// shortened is a text for a message.
func shortened(text string) string {
	if len(text) > maxMisspelt {
		return text[:maxMisspelt] + "…"
	}
	return text
}

// auxiliaryNames are the services that aren't of the contract.
var auxiliaryNames = []string{healthService, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}

// methodsOf are the names of the methods of a service.
func methodsOf(name string) (names []string) {
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if found, ok := descriptor.(protoreflect.ServiceDescriptor); err == nil && ok {
		for i := range found.Methods().Len() {
			names = append(names, string(found.Methods().Get(i).Name()))
		}
	}
	return names
}

// withHints gives what connect-go answers with a status alone a message.
func withHints(next http.Handler) http.Handler {
	calls := make(map[string]bool)
	for _, name := range serviceNames {
		for _, method := range methodsOf(name) {
			calls["/"+name+"/"+method] = true
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ours(r.URL.Path) && !calls[r.URL.Path] {
			nowhere(w, r)
			return
		}
		next.ServeHTTP(&hintWriter{w, r}, r)
	})
}

type hintWriter struct {
	http.ResponseWriter

	request *http.Request
}

func (w *hintWriter) WriteHeader(status int) {
	if message := w.hint(status); message != "" && w.Header().Get("Content-Type") == "" {
		writeHint(w.ResponseWriter, status, "invalid_argument", message)
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *hintWriter) hint(status int) string {
	url := "http://" + w.request.Host + w.request.URL.Path
	contentType := w.request.Header.Get("Content-Type")
	switch {
	case status == http.StatusHTTPVersionNotSupported:
		return "this stream goes both ways, which needs HTTP/2"
	case status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("a call is a POST, and this is %s: curl --json '{}' %s", w.request.Method, url)
	case status != http.StatusUnsupportedMediaType:
		return ""
	case w.request.Method == http.MethodGet:
		return fmt.Sprintf("a GET has its request in the URL, as %s?connect=v1&encoding=json&message=%%7B%%7D; or POST it: curl --json '{}' %s", url, url)
	case strings.HasPrefix(contentType, "application/json"), strings.HasPrefix(contentType, "application/proto"):
		return "this call is a stream, whose messages have a prefix of five bytes each (application/connect+json): use tidings, grpcurl or a generated client"
	default:
		return fmt.Sprintf("the content type is %q: send JSON as application/json, as curl --json @FILE %s does, or protobuf as application/proto", contentType, url)
	}
}

// Flush is what connect-go looks for.
func (w *hintWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is what http.ResponseController looks for.
func (w *hintWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writeHint writes an error as Connect does.
func writeHint(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // People read it.
	if err := encoder.Encode(map[string]string{"code": code, "message": message}); err != nil {
		return // The connection is gone.
	}
}
