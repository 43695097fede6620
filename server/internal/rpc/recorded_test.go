package rpc_test

import (
	"slices"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// wantRecorded wants the events of a topic to be recorded so: as they are read, got,
// delivered, dead letters, and delivered again.
func wantRecorded(t *testing.T, c client, topic string, of func(*tidingsv1.RecordedEvent) string, want []string) {
	t.Helper()
	stream, err := c.read(testContext(t), &tidingsv1.ReadRequest{Topic: topic, Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}})
	if err != nil {
		t.Fatal(err)
	}
	var read, got, delivered, dead, again []string
	for {
		response, err := stream.Recv()
		if err != nil {
			break
		}
		for _, event := range response.GetEvents().GetEvents() {
			read = append(read, of(event))
			one, err := c.GetEvent(testContext(t), &tidingsv1.GetEventRequest{Topic: topic, Sequence: event.GetSequence()})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, of(one.GetRecorded()))
		}
	}
	subscription := newSubscription(t, c, topic)
	deleteAtEnd(t, c, topic, subscription)
	var settlements []*tidingsv1.Settlement
	for _, delivery := range pull(t, c, subscription, len(want)) {
		delivered = append(delivered, of(delivery.GetRecorded()))
		settlements = append(settlements, &tidingsv1.Settlement{
			DeliveryToken: delivery.GetDeliveryToken(),
			Action:        &tidingsv1.Settlement_Nack{Nack: &tidingsv1.Nack{Kind: tidingsv1.NackKind_NACK_KIND_DEAD_LETTER}},
		})
	}
	if _, err := c.Settle(testContext(t), &tidingsv1.SettleRequest{Subscription: subscription, Settlements: settlements}); err != nil {
		t.Fatal(err)
	}
	letters, err := c.ListDeadLetters(testContext(t), &tidingsv1.ListDeadLettersRequest{Subscription: subscription})
	if err != nil {
		t.Fatal(err)
	}
	for _, letter := range letters.GetDeadLetters() {
		dead = append(dead, of(letter.GetRecorded()))
	}
	if _, err := c.RedriveDeadLetters(testContext(t), &tidingsv1.RedriveDeadLettersRequest{Subscription: subscription}); err != nil {
		t.Fatal(err)
	}
	for _, delivery := range pull(t, c, subscription, len(want)) {
		again = append(again, of(delivery.GetRecorded()))
	}
	for how, recorded := range map[string][]string{"read": read, "got": got, "delivered": delivered, "dead": dead, "delivered again": again} {
		if !slices.Equal(recorded, want) {
			t.Errorf("%s with %q, want %q", how, recorded, want)
		}
	}
}
