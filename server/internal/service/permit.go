package service

import (
	"context"

	"example.com/tidings/server/internal/auth"
)

// permitPublish refuses a batch that its caller may not publish, before anything is
// said of its topic.
func permitPublish(ctx context.Context, topic string, events []sentEvent) error {
	session := auth.FromContext(ctx)
	if session == nil {
		return nil
	}
	if err := session.Check(auth.Permission{Action: auth.Publish, Topic: topic}); err != nil {
		return err
	}
	before := ""
	for i := range events {
		name := events[i].typeName()
		if name == before {
			continue
		}
		before = name
		if err := session.Check(auth.Permission{Action: auth.Publish, Topic: topic, EventType: name}); err != nil {
			return err
		}
	}
	return nil
}

// principalOf returns the name of the principal that makes a call, or nothing where
// the server asks for no credential.
func principalOf(ctx context.Context) string {
	if session := auth.FromContext(ctx); session != nil {
		return session.Principal().Name
	}
	return ""
}

// sees reports whether a caller may know that a topic or a subscription exists.
func sees(ctx context.Context, p auth.Permission) bool {
	p.Action = auth.See
	return auth.Check(ctx, p) == nil
}
