package rpc_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// The mask of everything is there in JSON, which Go's own clients can't write.
func TestMaskOfEverythingInJSON(t *testing.T) {
	t.Parallel()
	c := sample()[0].dial(t, shared)
	topic := newTopic(t, c, func(topic *tidingsv1.Topic) {
		topic.Settings = &optionsv1.TopicSettings{Description: "old", Owner: "us"}
	})
	s := newSubscription(t, c, topic, func(s *tidingsv1.Subscription) { s.Description, s.Paused = "old", true })
	deleteAtEnd(t, c, topic, s)
	call := func(method, request string) (int, []byte) {
		return post(t, "/tidings.v1."+method, "application/json", strings.NewReader(request), int64(len(request)))
	}
	for method, request := range map[string]string{
		"TopicService/UpdateTopic":               `{"topic": {"name": "` + topic + `", "settings": {"owner": "them"}}, "updateMask": "*"}`,
		"SubscriptionService/UpdateSubscription": `{"update_mask": "*", "subscription": {"name": "` + s + `"}}`,
	} {
		if status, answer := call(method, request); status != http.StatusOK {
			t.Errorf("%s: %d %s", method, status, answer)
		}
	}
	shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: topic})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown.GetTopic().GetSettings(); got.GetDescription() != "" || got.GetOwner() != "them" {
		t.Errorf("the topic is %v", got)
	}
	if got := show(t, c, s); got.GetDescription() != "" || got.GetPaused() {
		t.Errorf("the subscription is %v", got)
	}
	for mask, want := range map[string]refusal{
		"*,settings.owner": because(codes.InvalidArgument, "UPDATE_MASK_INVALID").at("update_mask.paths[0]"),
		"settings.owner,*": because(codes.InvalidArgument, "UPDATE_MASK_INVALID").at("update_mask.paths[1]"),
		"settings.*":       because(codes.InvalidArgument, "REQUEST_MALFORMED").at("updateMask"),
	} {
		_, answer := call("TopicService/UpdateTopic", `{"topic": {"name": "`+topic+`"}, "updateMask": "`+mask+`"}`)
		if got := postFailure(t, answer); got.Reason != want.Reason || len(got.Fields) != 1 || got.Fields[0] != want.Fields[0] {
			t.Errorf("%s: %v, want %v", mask, got, want)
		}
	}
}
