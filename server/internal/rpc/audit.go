package rpc

import (
	"context"
	"log/slog"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/service"
)

// audit records a call that changes topics, subscriptions or schemas, whatever became
// of it: who made it, what it was about, and its reason or OK.
func (g *gate) audit(ctx context.Context, procedure, peer string, request any, failed *service.Error) {
	if g.auditLog == nil {
		return
	}
	needs := permissions(request)
	if len(needs) == 0 || needs[0].Action != auth.Manage && needs[0].Action != auth.Schema {
		return
	}
	attributes := []slog.Attr{slog.String("procedure", procedure), slog.String("peer", peer)}
	if session := auth.FromContext(ctx); session != nil {
		attributes = append(attributes, slog.String("principal", session.Principal().Name))
	}
	if needs[0].Topic != "" {
		attributes = append(attributes, slog.String("topic", needs[0].Topic))
	}
	if needs[0].Subscription != "" {
		attributes = append(attributes, slog.String("subscription", needs[0].Subscription))
	}
	outcome := "OK"
	if failed != nil {
		outcome = failed.Name()
	}
	g.auditLog.LogAttrs(ctx, slog.LevelInfo, "call", append(attributes, slog.String("outcome", outcome))...)
}
