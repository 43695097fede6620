package rpc_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/quota"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// quotaOf asks over one protocol what the caller with a credential may use.
func (a *accessPlace) quotaOf(credential, protocol string) (*tidingsv1.Quota, error) {
	request, ctx := new(tidingsv1.GetServerInfoRequest), testContext(a.t)
	if protocol == "native gRPC" {
		info, err := tidingsv1.NewServerServiceClient(a.conn).
			GetServerInfo(metadata.AppendToOutgoingContext(ctx, "authorization", credential), request)
		return info.GetQuota(), err
	}
	options := []connect.ClientOption{connect.WithInterceptors(withHeader{credential})}
	switch protocol {
	case "gRPC-Web":
		options = append(options, connect.WithGRPCWeb())
	case "JSON":
		options = append(options, connect.WithProtoJSON())
	}
	info, err := tidingsv1connect.NewServerServiceClient(a.client, "http://"+a.server.httpAddr, options...).GetServerInfo(ctx, request)
	return info.GetQuota(), err
}

var protocolNames = []string{"native gRPC", "Connect", "gRPC-Web", "JSON"}

const someQuotas = `quotas:
- {principals: ['key:publish'], events_per_second: 7, bytes_per_second: 8000, requests_per_second: 9000, streams: 10}
- {principals: ['key:admin']}
- {groups: ['corp:*'], principals: ['key:r*'], events_per_second: 5}
`

// TestQuotasOfPrincipals looks at what each may use, as the file says and when it
// changes.
func TestQuotasOfPrincipals(t *testing.T) {
	t.Parallel()
	a := newAccessPlace(t, someQuotas)
	byDefault := &tidingsv1.Quota{EventsPerSecond: 1_000_000_000}
	want := map[auth.Role]*tidingsv1.Quota{
		"publish": {EventsPerSecond: 7, BytesPerSecond: 8000, RequestsPerSecond: 9000, Streams: 10},
		"admin":   nil, // As much as it likes.
		"read":    {EventsPerSecond: 5},
		"consume": byDefault,
	}
	for role, quota := range want {
		for _, protocol := range protocolNames {
			got, err := a.quotaOf(a.roles[role], protocol)
			if err != nil || !proto.Equal(got, quota) || (got == nil) != (quota == nil) {
				t.Errorf("%s over %s: %v, %v; want %v", role, protocol, got, err, quota)
			}
		}
	}
	access, err := os.ReadFile(a.path)
	a.check(err)
	// A broken file leaves what was.
	a.check(os.WriteFile(a.path, []byte(strings.Replace(string(access), "events_per_second: 5", "events_per_second: -5", 1)), 0o600))
	wantUntil(t, "the file is refused", func() bool { return a.server.refused.Load() > 0 })
	if got, err := a.quotaOf(a.roles["read"], "Connect"); err != nil || got.GetEventsPerSecond() != 5 {
		t.Errorf("with a broken file: %v, %v", got, err)
	}
	a.check(os.WriteFile(a.path, []byte(strings.Replace(string(access), "events_per_second: 5", "events_per_second: 6", 1)), 0o600))
	wantUntil(t, "the change is seen", func() bool {
		got, err := a.quotaOf(a.roles["read"], "Connect")
		return err == nil && got.GetEventsPerSecond() == 6
	})
}

// wantUntil waits until something is so.
func wantUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for ctx := testContext(t); !is(); {
		if ctx.Err() != nil {
			t.Fatalf("not in time: %s", what)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// pause waits as clients do.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// TestQuotaIsOfOnePrincipal uses up what one may use, over one protocol: it may use
// nothing more over the others, and everybody else may.
func TestQuotaIsOfOnePrincipal(t *testing.T) {
	t.Parallel()
	a := newAccessPlace(t, "quotas:\n- {principals: ['key:*'], requests_per_second: 1}\n")
	ctx := testContext(t)
	others := []auth.Role{"read", "consume", "manage", "schema"}
	for i, protocol := range protocolNames {
		var err error
		for err == nil && ctx.Err() == nil {
			_, err = a.quotaOf(a.roles["publish"], protocol)
		}
		wantQuota(t, err, quota.Requests, 1)
		if _, err := a.quotaOf(a.roles[others[i]], protocol); err != nil {
			t.Errorf("another principal over %s: %v", protocol, err)
		}
	}
}

// TestQuotaAfterCredential tells nobody without a credential about quotas.
func TestQuotaAfterCredential(t *testing.T) {
	t.Parallel()
	a := newAccessPlace(t, "quotas:\n- {principals: ['*'], requests_per_second: 1}\n")
	ctx := testContext(t)
	var err error
	for err == nil && ctx.Err() == nil {
		_, err = a.quotaOf(a.roles["publish"], "Connect")
	}
	wantQuota(t, err, quota.Requests, 1)
	for what, credential := range a.wrong {
		for _, protocol := range protocolNames {
			_, err := a.quotaOf(credential, protocol)
			if err == nil {
				t.Fatalf("%s over %s is taken", what, protocol)
			}
			if code, _, _ := partsOf(t, err); code != codes.Unauthenticated {
				t.Errorf("%s over %s: %v", what, protocol, err)
			}
		}
	}
}
