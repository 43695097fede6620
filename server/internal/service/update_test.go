package service

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

func text[M proto.Message](t *testing.T, into M, text string) M {
	t.Helper()
	if err := prototext.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
	return into
}

const (
	topicBefore = `name: "a" settings {
		description: "old" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } max_bytes: 7 } }`
	subscriptionBefore = `name: "s" topic: "a" description: "old" filter { event_types: "x.Y" cel: "true" } ordering: ORDERING_NONE
		ack_deadline { seconds: 30 } retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 max_attempts: 3 } paused: true`
)

func TestUpdateTopicSettings(t *testing.T) {
	for name, test := range map[string]struct {
		wanted string
		mask   []string
		want   string
	}{
		"nothing": {`name: "a"`, nil, topicBefore},
		"an empty mask is none": {`name: "a" settings { description: "new" }`, []string{}, `name: "a" settings {
			description: "new" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } max_bytes: 7 } }`},
		"merge of a part": {`name: "a" settings { retention { max_age { seconds: 8 } } }`, nil, `name: "a" settings {
			description: "old" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 8 } max_bytes: 7 } }`},
		"a list is replaced": {`name: "a" settings { event_types: ["x.Z", "x.A"] }`, nil, `name: "a" settings {
			description: "old" owner: "us" event_types: ["x.Z", "x.A"] dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } max_bytes: 7 } }`},
		"what is set and not named": {`name: "a" settings { description: "new" owner: "them" }`, []string{"settings.owner"}, `name: "a" settings {
			description: "old" owner: "them" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } max_bytes: 7 } }`},
		"what is named and not set": {`name: "a"`, []string{"settings.event_types", "settings.retention.max_bytes", "settings.description"}, `name: "a" settings {
			owner: "us" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } } }`},
		"a whole": {`name: "a" settings { retention { max_bytes: 1 } }`, []string{"settings.retention"}, `name: "a" settings {
			description: "old" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_bytes: 1 } }`},
		"all settings":           {`name: "a" settings { owner: "them" }`, []string{"settings"}, `name: "a" settings { owner: "them" dedupe: DEDUPE_EVENT }`},
		"everything":             {`name: "a" settings { owner: "them" dedupe: DEDUPE_EVENT }`, []string{"*"}, `name: "a" settings { owner: "them" dedupe: DEDUPE_EVENT }`},
		"everything, of nothing": {`name: "a"`, []string{"*"}, `name: "a" settings { dedupe: DEDUPE_EVENT }`},
		"immutable and the same": {`name: "a" settings { dedupe: DEDUPE_EVENT }`, []string{"name", "settings.dedupe"}, topicBefore},
		"immutable and not mentioned": {`name: "a" settings { dedupe: DEDUPE_EVENT description: "new" }`, nil, `name: "a" settings {
			description: "new" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } max_bytes: 7 } }`},
		"output only is ignored": {`name: "a" etag: "1" declared: true create_time { seconds: 1 } statistics { event_count: 1 }`, nil, topicBefore},
	} {
		got := text(t, new(tidingsv1.Topic), topicBefore)
		mask := &fieldmaskpb.FieldMask{Paths: test.mask}
		if test.mask == nil {
			mask = nil
		}
		if err := update(got, text(t, new(tidingsv1.Topic), test.wanted), mask, "topic"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(text(t, new(tidingsv1.Topic), test.want), got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUpdateSubscriptionSettings(t *testing.T) {
	const start = `name: "s" topic: "a" description: "old" filter { event_types: "x.Y" cel: "true" } ordering: ORDERING_NONE ack_deadline { seconds: 30 } paused: true `
	for name, test := range map[string]struct {
		before, wanted string
		mask           []string
		want           string
	}{
		"a policy is merged": {subscriptionBefore, `name: "s" retry_policy { min_backoff { seconds: 5 } }`, nil,
			start + `retry_policy { min_backoff { seconds: 5 } max_backoff { seconds: 9 } multiplier: 2 max_attempts: 3 }`},
		"a policy is reset": {subscriptionBefore, `name: "s" retry_policy { min_backoff { seconds: 5 } }`, []string{"retry_policy"},
			start + `retry_policy { min_backoff { seconds: 5 } }`},
		"a policy is cleared": {subscriptionBefore, `name: "s"`, []string{"retry_policy"}, start},
		"the other one of a choice": {subscriptionBefore, `name: "s" retry_policy { unlimited_attempts: true }`, nil,
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 unlimited_attempts: true }`},
		"the other one of a choice, named": {subscriptionBefore, `name: "s" retry_policy { unlimited_attempts: true }`, []string{"retry_policy.unlimited_attempts"},
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 unlimited_attempts: true }`},
		"both of a choice, named": {subscriptionBefore, `name: "s" retry_policy { unlimited_attempts: true }`,
			[]string{"retry_policy.unlimited_attempts", "retry_policy.max_attempts"},
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 unlimited_attempts: true }`},
		"both of a choice, the other way round": {subscriptionBefore, `name: "s" retry_policy { unlimited_attempts: true }`,
			[]string{"retry_policy.max_attempts", "retry_policy.unlimited_attempts"},
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 unlimited_attempts: true }`},
		"one of a choice, which is cleared": {subscriptionBefore, `name: "s"`, []string{"retry_policy.max_attempts"},
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 }`},
		"one of a choice that isn't the one": {subscriptionBefore, `name: "s"`, []string{"retry_policy.unlimited_attempts"}, subscriptionBefore},
		"one of a choice that isn't named": {subscriptionBefore, `name: "s" retry_policy { unlimited_attempts: true multiplier: 3 }`, []string{"retry_policy.multiplier"},
			start + `retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 3 max_attempts: 3 }`},
		"a filter is one value": {subscriptionBefore, `name: "s" filter { cel: "false" }`, nil,
			`name: "s" topic: "a" description: "old" filter { cel: "false" } ordering: ORDERING_NONE ack_deadline { seconds: 30 } paused: true
			retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 max_attempts: 3 }`},
		"no filter": {subscriptionBefore, `name: "s"`, []string{"filter", "paused"},
			`name: "s" topic: "a" description: "old" ordering: ORDERING_NONE ack_deadline { seconds: 30 }
			retry_policy { min_backoff { seconds: 1 } max_backoff { seconds: 9 } multiplier: 2 max_attempts: 3 }`},
		"everything": {subscriptionBefore, `name: "s" retry_policy { max_attempts: 4 }`, []string{"*"},
			`name: "s" topic: "a" ordering: ORDERING_NONE retry_policy { max_attempts: 4 }`},
		"an order that isn't set stands for none": {subscriptionBefore, `name: "s"`, []string{"ordering"}, subscriptionBefore},
	} {
		got := text(t, new(tidingsv1.Subscription), test.before)
		if err := update(got, text(t, new(tidingsv1.Subscription), test.wanted), &fieldmaskpb.FieldMask{Paths: test.mask}, "subscription"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(text(t, new(tidingsv1.Subscription), test.want), got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUpdateRefused(t *testing.T) {
	const mask, fixed = tidingsv1.ErrorReason_ERROR_REASON_UPDATE_MASK_INVALID, tidingsv1.ErrorReason_ERROR_REASON_FIELD_IMMUTABLE
	for name, test := range map[string]struct {
		wanted proto.Message
		mask   []string
		reason tidingsv1.ErrorReason
		field  string
	}{
		"immutable, without a mask":    {text(t, new(tidingsv1.Topic), `name: "a" settings { dedupe: DEDUPE_REQUEST }`), nil, fixed, "topic.settings.dedupe"},
		"immutable, not named":         {text(t, new(tidingsv1.Topic), `name: "a" settings { dedupe: DEDUPE_REQUEST }`), []string{"settings.owner"}, fixed, "topic.settings.dedupe"},
		"immutable, named":             {text(t, new(tidingsv1.Topic), `name: "a" settings { dedupe: DEDUPE_REQUEST }`), []string{"settings.dedupe"}, fixed, "topic.settings.dedupe"},
		"immutable, with everything":   {text(t, new(tidingsv1.Topic), `name: "a" settings { dedupe: DEDUPE_REQUEST }`), []string{"*"}, fixed, "topic.settings.dedupe"},
		"immutable, cleared":           {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.dedupe"}, fixed, "topic.settings.dedupe"},
		"a topic, cleared":             {text(t, new(tidingsv1.Subscription), `name: "s"`), []string{"topic"}, fixed, "subscription.topic"},
		"another topic":                {text(t, new(tidingsv1.Subscription), `name: "s" topic: "b"`), nil, fixed, "subscription.topic"},
		"another order":                {text(t, new(tidingsv1.Subscription), `name: "s" ordering: ORDERING_KEY`), nil, fixed, "subscription.ordering"},
		"no such field":                {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.owner", "nothing"}, mask, "update_mask.paths[1]"},
		"no such field below":          {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.retention.nothing"}, mask, "update_mask.paths[0]"},
		"a part of one value":          {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.dedupe_window.seconds"}, mask, "update_mask.paths[0]"},
		"a part of a filter":           {text(t, new(tidingsv1.Subscription), `name: "s"`), []string{"filter.cel"}, mask, "update_mask.paths[0]"},
		"an element":                   {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.event_types.0"}, mask, "update_mask.paths[0]"},
		"the name of a choice":         {text(t, new(tidingsv1.Subscription), `name: "s"`), []string{"retry_policy.attempts"}, mask, "update_mask.paths[0]"},
		"JSON's name":                  {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.eventTypes"}, mask, "update_mask.paths[0]"},
		"no name":                      {text(t, new(tidingsv1.Topic), `name: "a"`), []string{""}, mask, "update_mask.paths[0]"},
		"a dot at the end":             {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings."}, mask, "update_mask.paths[0]"},
		"everything below":             {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.*"}, mask, "update_mask.paths[0]"},
		"everything and something":     {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"*", "settings.owner"}, mask, "update_mask.paths[0]"},
		"something and everything":     {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"settings.owner", "*"}, mask, "update_mask.paths[1]"},
		"output only":                  {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"create_time"}, mask, "update_mask.paths[0]"},
		"declared":                     {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"declared"}, mask, "update_mask.paths[0]"},
		"below what is output only":    {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"statistics.event_count"}, mask, "update_mask.paths[0]"},
		"the etag":                     {text(t, new(tidingsv1.Topic), `name: "a"`), []string{"etag"}, mask, "update_mask.paths[0]"},
		"the statistics of deliveries": {text(t, new(tidingsv1.Subscription), `name: "s"`), []string{"statistics"}, mask, "update_mask.paths[0]"},
	} {
		var before proto.Message = text(t, new(tidingsv1.Topic), topicBefore)
		of := "topic"
		if _, ok := test.wanted.(*tidingsv1.Subscription); ok {
			before, of = text(t, new(tidingsv1.Subscription), subscriptionBefore), "subscription"
		}
		err := update(before, test.wanted, &fieldmaskpb.FieldMask{Paths: test.mask}, of)
		refused, ok := errors.AsType[*Error](err)
		if !ok || refused.Reason != test.reason || len(refused.Fields) != 1 || refused.Fields[0].GetField() != test.field {
			t.Errorf("%s: %v, want %v at %s", name, err, test.reason, test.field)
		}
	}
}

func TestDifferent(t *testing.T) {
	for wanted, want := range map[string]string{
		topicBefore: "",
		`settings { description: "new" owner: "us" }`: "settings.description",
		`settings { description: "old" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } retention { max_age { seconds: 9 } } }`: "settings.retention.max_bytes",
		`settings { description: "old" owner: "us" event_types: "x.Y" dedupe: DEDUPE_EVENT dedupe_window { seconds: 60 } }`:                                      "settings.retention.max_age",
		`settings { description: "old" owner: "us" event_types: "x.Z" dedupe: DEDUPE_EVENT }`:                                                                    "settings.event_types",
	} {
		a, b := text(t, new(tidingsv1.Topic), topicBefore).GetSettings(), text(t, new(tidingsv1.Topic), wanted).GetSettings()
		if got := different(a.ProtoReflect(), b.ProtoReflect(), "settings"); got != want {
			t.Errorf("%s: %q, want %q", wanted, got, want)
		}
		if got := different(b.ProtoReflect(), a.ProtoReflect(), "settings"); got != want {
			t.Errorf("%s, the other way round: %q, want %q", wanted, got, want)
		}
	}
}
