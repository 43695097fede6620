package daemon_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// outside starts a NATS server with JetStream, whose URL has a password.
func outside(t *testing.T) *natstest.Server {
	t.Helper()
	return natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "tidings", "not-to-be-logged" })
}

// checkRepetition compares the receipts of a request that was sent twice.
func checkRepetition(t *testing.T, original, repeated *tidingsv1.PublishResponse) {
	t.Helper()
	if got, want := len(repeated.GetReceipts()), len(original.GetReceipts()); got != want {
		t.Fatalf("topic %s: %d receipts of the repetition, originally %d", repeated.GetTopic(), got, want)
	}
	for i, receipt := range repeated.GetReceipts() {
		if !receipt.GetDuplicate() || receipt.GetSequence() != original.GetReceipts()[i].GetSequence() {
			t.Errorf("topic %s: receipt %d of the repetition: %v, originally %v", repeated.GetTopic(), i, receipt, original.GetReceipts()[i])
		}
	}
}

// count reads what is there of the topic.
func count(ctx context.Context, reader tidingsv1.ReaderServiceClient) (events int, err error) {
	stream, err := reader.Read(ctx, &tidingsv1.ReadRequest{
		Topic: "crash",
		Stop:  &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}},
	})
	if err != nil {
		return 0, err
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events += len(response.GetEvents().GetEvents())
	}
}

// Two servers on one outside NATS are one: what is said to either holds for
// both, and neither loses anything when NATS restarts.
func TestTwoServersShareAnOutsideNATS(t *testing.T) {
	t.Parallel()
	nats := outside(t)
	cfg := daemon.DefaultConfig()
	cfg.DataDir = ""
	cfg.NATSURL = natstest.URL(nats)
	one, two := start(t, cfg), start(t, cfg)
	ctx := t.Context()

	info, err := tidingsv1.NewServerServiceClient(one.dial(t)).GetServerInfo(ctx, &tidingsv1.GetServerInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := info.GetDurability(); got != tidingsv1.Durability_DURABILITY_PROCESS {
		t.Errorf("durability %s", got)
	}
	if got := info.GetLimits().GetMaxRequestBytes(); got > 1<<20 {
		t.Errorf("a request of %d bytes is announced, NATS takes less than 1 MiB", got)
	}

	created, err := tidingsv1.NewTopicServiceClient(one.dial(t)).CreateTopic(ctx, &tidingsv1.CreateTopicRequest{
		Topic: &tidingsv1.Topic{Name: "crash"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The other knows the topic, and holds to its etag, at once.
	updated, err := tidingsv1.NewTopicServiceClient(two.dial(t)).UpdateTopic(ctx, &tidingsv1.UpdateTopicRequest{
		Topic: &tidingsv1.Topic{Name: "crash", Etag: created.GetTopic().GetEtag(), Settings: &optionsv1.TopicSettings{Description: "shared"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tidingsv1.NewTopicServiceClient(one.dial(t)).UpdateTopic(ctx, &tidingsv1.UpdateTopicRequest{
		Topic: &tidingsv1.Topic{Name: "crash", Etag: created.GetTopic().GetEtag(), Settings: &optionsv1.TopicSettings{Description: "stale"}},
	})
	if status.Code(err) != codes.Aborted {
		t.Errorf("update with the etag %s after %s: %v, want Aborted", created.GetTopic().GetEtag(), updated.GetTopic().GetEtag(), err)
	}

	first := tidingsv1.NewPublisherServiceClient(one.dial(t))
	second := tidingsv1.NewPublisherServiceClient(two.dial(t))
	request := &tidingsv1.PublishRequest{Topic: "crash", Events: crashBatch(t, 0, 0).GetPublish().GetEvents()}
	original, err := first.Publish(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	repeated, err := second.Publish(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	checkRepetition(t, original, repeated)

	// NATS goes and comes back at the same address.
	nats.End()
	request.Events = crashBatch(t, 0, 1).GetPublish().GetEvents()
	if _, err := first.Publish(ctx, request); status.Code(err) != codes.Unavailable {
		t.Errorf("publishing without NATS: %v, want Unavailable", err)
	}
	nats.Restart(t)
	for {
		_, err := first.Publish(ctx, request)
		if err == nil {
			break
		}
		if status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
	// The other server connects again in its own time.
	reader := tidingsv1.NewReaderServiceClient(two.dial(t))
	for {
		events, err := count(ctx, reader)
		if status.Code(err) == codes.Unavailable {
			continue
		}
		if err != nil || events != 2*batchSize {
			t.Errorf("read %d events, want %d: %v", events, 2*batchSize, err)
		}
		break
	}
	for _, p := range []*process{one, two} {
		p.end(syscall.SIGTERM)
		if log := p.Output(); strings.Contains(log, "not-to-be-logged") {
			t.Errorf("the log holds the password: %s", log)
		}
	}
}
