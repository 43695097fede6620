package rpc

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// guardBrowsers refuses what a page of somebody else could make a browser send:
// a call from another origin, unless it is among cfg.Origins, and, with
// cfg.CheckHost, one to a name that was made to mean this machine. Programs send no
// Origin, and call the server by the address that it has. The gRPC port needs no
// guard: browsers don't speak what it speaks.
func guardBrowsers(next http.Handler, cfg Config) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	for _, origin := range cfg.Origins {
		if err := crossOrigin.AddTrustedOrigin(origin); err != nil {
			cfg.Log.Error("the pages of an origin can't be let in", "origin", origin, "error", err)
		}
	}
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := crossOrigin.Check(r); err != nil {
			forbid(w, r, fmt.Errorf("calls of pages from another origin aren't taken: %w", err))
			return
		}
		next.ServeHTTP(w, r)
	})
	shared := letIn(own, cfg.Origins)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cfg.CheckHost && !isOwnHost(r.Host, cfg.Hosts) {
			forbid(w, r, fmt.Errorf("the server isn't called %q: call it by localhost or a loopback address, or start it with --hosts and this name", r.Host))
			return
		}
		shared.ServeHTTP(w, r)
	})
}

// preflightAge is how long a browser may keep what it was told of an origin's rights.
const preflightAge = 2 * time.Hour

// letIn tells browsers that the pages of some origins may make calls and read the
// answers, with credentials too, since each origin is named in full. It answers their
// preflights, which have no credential.
func letIn(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowedMethods:   connectcors.AllowedMethods(),
		AllowedHeaders:   append(connectcors.AllowedHeaders(), "Authorization", "Traceparent", "Tracestate"),
		ExposedHeaders:   connectcors.ExposedHeaders(),
		AllowCredentials: true,
		MaxAge:           int(preflightAge.Seconds()),
	}).Handler(next)
}

// isOwnHost reports whether a Host header, which may have a port, is among names
// or means this machine wherever it is resolved. No browser leaves it out.
func isOwnHost(host string, names []string) bool {
	name := host
	if withoutPort, _, err := net.SplitHostPort(host); err == nil {
		name = withoutPort
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(names, name) {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// forbid answers with 403, in the protocol of the call.
func forbid(w http.ResponseWriter, r *http.Request, reason error) {
	writer := connect.NewErrorWriter()
	if r.Method == http.MethodPost && writer.IsSupported(r) {
		_ = writer.Write(w, r, connect.NewError(connect.CodePermissionDenied, reason)) // The connection may be gone.
		return
	}
	http.Error(w, reason.Error(), http.StatusForbidden)
}
