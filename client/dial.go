package client

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/health" // What asks for the health of servers.
	"google.golang.org/grpc/keepalive"
)

const (
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	// maxConnectDelay bounds the back-off of connections, which is 2 minutes by default:
	// a replica that was away is used again soon.
	maxConnectDelay = 5 * time.Second
	// streamWindow and connectionWindow are in bytes.
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
)

// DialOptions returns what a gRPC connection to one server or several replicas needs
// besides credentials:
//
//   - [ServiceConfig]: round robin over all addresses of the target whose health says
//     that they serve, and retries of idempotent unary calls.
//   - Keepalive: a connection on which nothing comes for 20 seconds is asked whether it
//     is still there, also while there is no call, and given up 10 seconds later.
//   - A connection that couldn't be made is tried again within 5 seconds.
//   - Windows of 4 MiB for what the server sends in a call before it is read, and of
//     16 MiB for all calls of the connection: 40 MB a second in a call where the way to
//     the server and back takes 100 ms. Without them grpc-go finds out how large they
//     should be, by pings while messages come in.
//
// The target has all replicas where its resolver gives all their addresses, as that of
// dns:///tidings.example.org:7071 does; see [google.golang.org/grpc/resolver/manual]
// for a list. Options that follow these win.
func DialOptions() []grpc.DialOption {
	delays := backoff.DefaultConfig
	delays.MaxDelay = maxConnectDelay
	return []grpc.DialOption{
		grpc.WithDefaultServiceConfig(ServiceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connectionWindow),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: delays, MinConnectTimeout: maxConnectDelay}),
	}
}
