package rpc

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"connectrpc.com/connect"
)

// guardBrowsers refuses what a page of somebody else could make a browser send:
// a call from another origin, and, with cfg.CheckHost, one to a name that was
// made to mean this machine. Programs send no Origin, and call the server by the
// address that it has. The gRPC port needs no guard: browsers don't speak what
// it speaks.
func guardBrowsers(next http.Handler, cfg Config) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cfg.CheckHost && !isOwnHost(r.Host, cfg.Hosts) {
			forbid(w, r, fmt.Errorf("the server isn't called %q: call it by localhost or a loopback address, or start it with --hosts and this name", r.Host))
			return
		}
		if err := crossOrigin.Check(r); err != nil {
			forbid(w, r, fmt.Errorf("calls of pages from another origin aren't taken: %w", err))
			return
		}
		next.ServeHTTP(w, r)
	})
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
