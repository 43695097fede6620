package daemon_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// With three replicas repetitions are recognised as with one, also where only
// a part is one, and the loss of a NATS server is survived.
func TestReplicatedTopics(t *testing.T) {
	t.Parallel()
	members := natstest.Cluster(t)
	cfg := daemon.DefaultConfig()
	cfg.DataDir, cfg.Replicas = "", 3
	cfg.NATSURL = natstest.URL(members...)
	tidings := start(t, cfg) // Opening waits until the cluster has a leader.
	ctx := t.Context()
	topics := tidingsv1.NewTopicServiceClient(tidings.dial(t))
	publisher := tidingsv1.NewPublisherServiceClient(tidings.dial(t))
	for _, dedupe := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
		name := map[optionsv1.Dedupe]string{optionsv1.Dedupe_DEDUPE_REQUEST: "by-request", optionsv1.Dedupe_DEDUPE_EVENT: "by-event"}[dedupe]
		if _, err := topics.CreateTopic(ctx, &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Dedupe: dedupe}}}); err != nil {
			t.Fatal(err)
		}
		request := &tidingsv1.PublishRequest{
			Topic: name, Events: crashBatch(t, 0, 0).GetPublish().GetEvents(),
			Preconditions: []*tidingsv1.Precondition{{Expectation: &tidingsv1.Precondition_Exists{}}},
		}
		original, err := publisher.Publish(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		// The precondition doesn't hold any more; a repetition is recognised
		// all the same.
		repeated, err := publisher.Publish(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		checkRepetition(t, original, repeated)
		fresh := &tidingsv1.PublishRequest{
			Topic: name, Events: append(crashBatch(t, 0, 0).GetPublish().GetEvents()[3:], crashBatch(t, 0, 1).GetPublish().GetEvents()...),
			Preconditions: []*tidingsv1.Precondition{{Expectation: &tidingsv1.Precondition_LastSequence{LastSequence: 1}}},
		}
		if _, err := publisher.Publish(ctx, fresh); status.Code(err) != codes.Aborted {
			t.Errorf("%s: publishing after another last sequence: %v, want Aborted", name, err)
		}
		fresh.Preconditions = nil
		mixed, err := publisher.Publish(ctx, fresh)
		if err != nil {
			t.Fatal(err)
		}
		for i, receipt := range mixed.GetReceipts() {
			if want := dedupe == optionsv1.Dedupe_DEDUPE_EVENT && i < batchSize-3; receipt.GetDuplicate() != want {
				t.Errorf("%s: receipt %d of a request that overlaps: %v, want duplicate %t", name, i, receipt, want)
			}
		}
	}
	members[2].End()
	request := &tidingsv1.PublishRequest{Topic: "by-event", Events: crashBatch(t, 0, 2).GetPublish().GetEvents()}
	for {
		response, err := publisher.Publish(ctx, request)
		if err == nil {
			if len(response.GetReceipts()) != batchSize {
				t.Errorf("%d receipts", len(response.GetReceipts()))
			}
			return
		}
		if status.Code(err) != codes.Unavailable {
			t.Fatal(err)
		}
	}
}
