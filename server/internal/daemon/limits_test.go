package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"example.com/tidings/server/internal/daemon"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// Beyond the bounds no topics and subscriptions are created, until one is
// deleted.
func TestMaxTopicsAndSubscriptions(t *testing.T) {
	t.Parallel()
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.MaxTopics, cfg.MaxSubscriptions = t.TempDir(), 1, 1
	p := start(t, cfg)
	topics := tidingsv1connect.NewTopicServiceClient(http.DefaultClient, "http://"+p.HTTP)
	subscriptions := tidingsv1connect.NewSubscriptionServiceClient(http.DefaultClient, "http://"+p.HTTP)
	wantTooMany := func(err error) {
		t.Helper()
		if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "as many as the server may have") {
			t.Errorf("beyond the bound: %v", err)
		}
	}
	// Those that the examples declare are there, and are more than one.
	_, err := topics.CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "another"}})
	wantTooMany(err)
	_, err = topics.CreateTopic(t.Context(), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: "orders"}})
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("one that exists: %v", err)
	}
	create := func(name string) error {
		_, err := subscriptions.CreateSubscription(t.Context(), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: name, Topic: "orders"},
		})
		return err
	}
	if err := create("first"); err != nil {
		t.Fatal(err)
	}
	wantTooMany(create("second"))
	if err := create("first"); connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("one that exists: %v", err)
	}
	if _, err := subscriptions.DeleteSubscription(t.Context(), &tidingsv1.DeleteSubscriptionRequest{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	if err := create("second"); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
}
