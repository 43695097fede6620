package rpc

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// Access says who makes a call.
type Access interface {
	Authenticate(c auth.Credential) (*auth.Session, error)
}

// free reports whether a path needs no credential: those that tell whether the server
// is healthy.
func free(path string) bool {
	return path == "/healthz" || path == "/readyz" || strings.HasPrefix(path, "/grpc.health.v1.Health/")
}

// authenticate refuses a call without a credential, and one above its caller's quota,
// before anything of its body is read.
func authenticate(next http.Handler, cfg Config) http.Handler {
	if cfg.Access == nil && cfg.Quotas == nil {
		return next
	}
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if free(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		credential := auth.Credential{Authorization: r.Header.Get("Authorization")}
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			credential.Certificate = r.TLS.VerifiedChains[0][0]
		}
		ctx, err := enter(r.Context(), cfg, credential, r.URL.Path, r.RemoteAddr)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		fault := service.AsError(r.Context(), cfg.Log, err)
		failed(r.Context(), fault)
		if writer.IsSupported(r) {
			_ = writer.Write(w, r, connectError(fault)) // The connection may be gone.
			return
		}
		status := http.StatusForbidden
		switch {
		case fault.RetryDelay > 0:
			status = http.StatusTooManyRequests
		case !errors.Is(err, auth.ErrDenied):
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Bearer realm="tidings"`)
		}
		http.Error(w, fault.Message, status)
	})
}

// enter returns the context of a call with its caller, who may make calls at all, and
// another one now.
func enter(ctx context.Context, cfg Config, credential auth.Credential, path string, from any) (entered context.Context, err error) {
	defer func() {
		if err != nil {
			cfg.Log.DebugContext(ctx, "call refused", "path", path, "peer", from, "error", err)
		}
	}()
	var session *auth.Session
	if cfg.Access != nil {
		if session, err = cfg.Access.Authenticate(credential); err != nil {
			return nil, err
		}
		telemetry.CallFrom(ctx).SetPrincipal(session.Principal().Name)
		if err := session.Check(permissionOfPath(path)); err != nil {
			return nil, err
		}
		ctx = auth.NewContext(ctx, session)
	}
	return meter(ctx, cfg.Quotas, session)
}

// permissionOfPath is what a call needs whatever its request says.
func permissionOfPath(path string) auth.Permission {
	if path == "/metrics" {
		return auth.Permission{Action: auth.Monitor}
	}
	return auth.Permission{Action: auth.Connect}
}

// tapAccess is authenticate over native gRPC. It runs where a connection is read from:
// while an issuer is asked for a key that isn't known, for two seconds at most and
// every ten seconds at most, the connection of the call waits.
func tapAccess(cfg Config, next tap.ServerInHandle) tap.ServerInHandle {
	if cfg.Access == nil && cfg.Quotas == nil {
		return next
	}
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if free(info.FullMethodName) {
			return next(ctx, info)
		}
		var credential auth.Credential
		if values := info.Header.Get("authorization"); len(values) > 0 {
			credential.Authorization = values[0]
		}
		caller, _ := peer.FromContext(ctx)
		if caller != nil {
			if secured, ok := caller.AuthInfo.(credentials.TLSInfo); ok && len(secured.State.VerifiedChains) > 0 {
				credential.Certificate = secured.State.VerifiedChains[0][0]
			}
		}
		entered, err := enter(ctx, cfg, credential, info.FullMethodName, caller)
		if err != nil {
			fault := service.AsError(ctx, cfg.Log, err)
			if cfg.Metrics != nil {
				recorder{cfg.Metrics}.refused(ctx, info.FullMethodName, fault)
			}
			return ctx, grpcError(fault)
		}
		return next(entered, info)
	}
}

// streamContext returns the context of a stream, which ends when its caller may no
// longer make the call. The error says that the caller has as many as it may.
func streamContext(ctx context.Context) (stream context.Context, end func(), err error) {
	uncount, err := quota.FromContext(ctx).Stream()
	if err != nil {
		return nil, nil, err
	}
	session := auth.FromContext(ctx)
	if session == nil {
		return ctx, uncount, nil
	}
	stream, leave := session.Stream(ctx)
	return stream, func() { leave(); uncount() }, nil
}

// permit refuses a request that its caller may not make. What a request publishes is
// the service's to check, which knows the topic.
func permit(ctx context.Context, request any) error {
	session := auth.FromContext(ctx)
	if session == nil {
		return nil
	}
	for _, permission := range permissions(request) {
		if err := session.Check(permission); err != nil {
			return err
		}
	}
	return nil
}

// permissions are what a request needs.
func permissions(request any) []auth.Permission {
	switch r := request.(type) {
	case *tidingsv1.CreateTopicRequest:
		return onTopic(auth.Manage, r.GetTopic().GetName())
	case *tidingsv1.UpdateTopicRequest:
		return onTopic(auth.Manage, r.GetTopic().GetName())
	case *tidingsv1.DeleteTopicRequest:
		return onTopic(auth.Manage, r.GetName())
	case *tidingsv1.GetTopicRequest:
		return onTopic(auth.See, r.GetName())
	case *tidingsv1.ReadRequest:
		return onTopic(auth.Read, r.GetTopic())
	case *tidingsv1.GetEventRequest:
		return onTopic(auth.Read, r.GetTopic())
	case *tidingsv1.ValidateEventsRequest:
		if r.GetTopic() != "" {
			return onTopic(auth.Publish, r.GetTopic())
		}
	case *tidingsv1.CreateSubscriptionRequest:
		return append(onSubscription(auth.Manage, r.GetSubscription().GetName()),
			onTopic(auth.Read, r.GetSubscription().GetTopic())...)
	case *tidingsv1.UpdateSubscriptionRequest:
		return onSubscription(auth.Manage, r.GetSubscription().GetName())
	case *tidingsv1.DeleteSubscriptionRequest:
		return onSubscription(auth.Manage, r.GetName())
	case *tidingsv1.SeekSubscriptionRequest:
		return onSubscription(auth.Manage, r.GetName())
	case *tidingsv1.GetSubscriptionRequest:
		return onSubscription(auth.See, r.GetName())
	case *tidingsv1.ConsumeRequest:
		if open := r.GetOpen(); open != nil {
			return onSubscription(auth.Consume, open.GetSubscription())
		}
	case *tidingsv1.ReceiveRequest:
		return onSubscription(auth.Consume, r.GetSubscription())
	case *tidingsv1.PullRequest:
		return onSubscription(auth.Consume, r.GetSubscription())
	case *tidingsv1.SettleRequest:
		return onSubscription(auth.Consume, r.GetSubscription())
	case *tidingsv1.ListDeadLettersRequest:
		return onSubscription(auth.Consume, r.GetSubscription())
	case *tidingsv1.RedriveDeadLettersRequest:
		return onSubscription(auth.Manage, r.GetSubscription())
	case *tidingsv1.PurgeDeadLettersRequest:
		return onSubscription(auth.Manage, r.GetSubscription())
	case *tidingsv1beta1.RegisterSchemaRequest, *tidingsv1beta1.CheckCompatibilityRequest:
		return []auth.Permission{{Action: auth.Schema}}
	}
	return nil
}

func onTopic(action auth.Action, topic string) []auth.Permission {
	return []auth.Permission{{Action: action, Topic: topic}}
}

func onSubscription(action auth.Action, subscription string) []auth.Permission {
	return []auth.Permission{{Action: action, Subscription: subscription}}
}
