package rpc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	orderPlaced = "shop.orders.v1.OrderPlaced"
	orderPaid   = "shop.orders.v1.OrderPaid"
)

func TestCreateTopic(t *testing.T) {
	t.Run("exists", each(func(t *testing.T, c client) {
		name := newTopic(t, c)
		_, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name}})
		wantRefusal(t, err, because(codes.AlreadyExists, "TOPIC_ALREADY_EXISTS", "topic", name))
	}))
	t.Run("refused/a window that is no duration", some(func(t *testing.T, c client) {
		name := newName()
		_, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{DedupeWindow: &durationpb.Duration{Seconds: 60, Nanos: 1_500_000_000}}}})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("topic.settings.dedupe_window"))
		_, err = c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: name})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name))
	}, validTimes))
}

func TestGetTopic(t *testing.T) {
	t.Run("not found", each(func(t *testing.T, c client) {
		name := newName()
		_, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: name})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name))
	}))
}

func TestListTopics(t *testing.T) {
	t.Run("pages", each(func(t *testing.T, c client) {
		var mine []string
		for range 3 {
			mine = append(mine, newTopic(t, c))
		}
		slices.Sort(mine)
		var all []string
		request := &tidingsv1.ListTopicsRequest{PageSize: 200}
		for {
			response, err := c.ListTopics(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			if len(response.GetTopics()) > 200 {
				t.Fatalf("a page of %d topics", len(response.GetTopics()))
			}
			for _, topic := range response.GetTopics() {
				if topic.GetStatistics() != nil {
					t.Error("ListTopics shows statistics")
				}
				all = append(all, topic.GetName())
			}
			if request.PageToken = response.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Errorf("not in order, or one twice: %q", all)
		}
		for _, name := range append(mine, "orders") {
			if !slices.Contains(all, name) {
				t.Errorf("%s is missing in %q", name, all)
			}
		}
	}))
	t.Run("token of another list", each(func(t *testing.T, c client) {
		types, err := c.ListEventTypes(testContext(t), &tidingsv1.ListEventTypesRequest{PageSize: 1})
		if err != nil || types.GetNextPageToken() == "" {
			t.Fatal(types, err)
		}
		_, err = c.ListTopics(testContext(t), &tidingsv1.ListTopicsRequest{PageToken: types.GetNextPageToken()})
		wantRefusal(t, err, because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token"))
	}))
}

func TestUpdateTopic(t *testing.T) {
	hour, day := durationpb.New(time.Hour), durationpb.New(24*time.Hour)
	for name, test := range map[string]struct {
		mask   []string
		values *tidingsv1.Topic
		change func(*tidingsv1.Topic) // What is wanted of the topic.
	}{
		"one field": {
			[]string{"settings.description"}, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Description: "new", EventTypes: []string{orderPaid}}},
			func(topic *tidingsv1.Topic) { topic.Settings.Description = "new" },
		},
		"cleared": {
			[]string{"settings.description", "settings.event_types", "settings.retention"}, &tidingsv1.Topic{},
			func(topic *tidingsv1.Topic) {
				topic.Settings.Description, topic.Settings.EventTypes, topic.Settings.Retention = "", nil, nil
			},
		},
		"a part of the retention": {
			[]string{"settings.retention.max_bytes"}, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Retention: &optionsv1.Retention{MaxBytes: 1 << 21, MaxAge: day}}},
			func(topic *tidingsv1.Topic) { topic.Settings.Retention.MaxBytes = 1 << 21 },
		},
		"the other part": {
			[]string{"settings.retention.max_age"}, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Retention: &optionsv1.Retention{MaxBytes: 1 << 21, MaxAge: day}}},
			func(topic *tidingsv1.Topic) { topic.Settings.Retention.MaxAge = day },
		},
		"window": {
			[]string{"settings.dedupe_window"}, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{DedupeWindow: durationpb.New(3 * time.Second)}},
			func(topic *tidingsv1.Topic) { topic.Settings.DedupeWindow = durationpb.New(3 * time.Second) },
		},
		"window longer than the retention": {
			[]string{"settings.dedupe_window", "settings.retention.max_age"},
			&tidingsv1.Topic{Settings: &optionsv1.TopicSettings{DedupeWindow: hour, Retention: &optionsv1.Retention{MaxAge: durationpb.New(time.Minute)}}},
			func(topic *tidingsv1.Topic) {
				topic.Settings.DedupeWindow, topic.Settings.Retention.MaxAge = hour, durationpb.New(time.Minute)
			},
		},
		"no mask": {
			nil, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Description: "new", EventTypes: []string{orderPaid}}},
			func(topic *tidingsv1.Topic) {
				topic.Settings.Description, topic.Settings.EventTypes = "new", []string{orderPaid}
			},
		},
		"no mask, a part": {
			nil, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Retention: &optionsv1.Retention{MaxAge: day}}},
			func(topic *tidingsv1.Topic) { topic.Settings.Retention.MaxAge = day },
		},
		"everything": {
			[]string{"*"}, &tidingsv1.Topic{Settings: &optionsv1.TopicSettings{Owner: "them", Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST}},
			func(topic *tidingsv1.Topic) {
				topic.Settings = &optionsv1.TopicSettings{Owner: "them", Dedupe: optionsv1.Dedupe_DEDUPE_REQUEST, DedupeWindow: durationpb.New(2 * time.Minute)}
			},
		},
	} {
		t.Run(name, some(func(t *testing.T, c client) {
			created, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: newName(), Settings: &optionsv1.TopicSettings{Description: "old", EventTypes: []string{orderPlaced}, Retention: &optionsv1.Retention{MaxAge: hour, MaxBytes: 1 << 20}}}})
			if err != nil {
				t.Fatal(err)
			}
			want := created.GetTopic()
			values := proto.CloneOf(test.values)
			values.Name, values.Etag = want.GetName(), want.GetEtag()
			request := &tidingsv1.UpdateTopicRequest{Topic: values}
			if test.mask != nil {
				request.UpdateMask = &fieldmaskpb.FieldMask{Paths: test.mask}
			}
			updated, err := c.UpdateTopic(testContext(t), request)
			if err != nil {
				t.Fatal(err)
			}
			got := updated.GetTopic()
			if got.GetEtag() == want.GetEtag() || got.GetUpdateTime().AsTime().Before(want.GetUpdateTime().AsTime()) {
				t.Errorf("etag %q, update_time %s after %q, %s", got.GetEtag(), got.GetUpdateTime().AsTime(), want.GetEtag(), want.GetUpdateTime().AsTime())
			}
			test.change(want)
			if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "etag", "update_time")); diff != "" {
				t.Errorf("updated otherwise (-want +got):\n%s", diff)
			}
			shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: want.GetName()})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, shown.GetTopic(), protocmp.Transform(), protocmp.IgnoreFields(want, "statistics")); diff != "" {
				t.Errorf("GetTopic shows it otherwise (-updated +got):\n%s", diff)
			}
		}, maskNeeds(test.mask)...))
	}
	for _, path := range []string{"etag", "create_time", "declared", "statistics", "nothing", "description", "settings.retention.nothing", "*"} {
		t.Run("bad mask/"+path, some(func(t *testing.T, c client) {
			_, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{
				Topic: &tidingsv1.Topic{Name: newTopic(t, c)}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"settings.description", path}},
			})
			wantRefusal(t, err, because(codes.InvalidArgument, "UPDATE_MASK_INVALID").at("update_mask.paths[1]"))
		}, maskNeeds([]string{path})...))
	}
	t.Run("nothing to change", some(func(t *testing.T, c client) {
		created, err := c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: newName(), Settings: &optionsv1.TopicSettings{Owner: "us"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, mask := range [][]string{nil, {"*"}, {"settings.owner", "settings.dedupe", "name"}} {
			got, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{Topic: created.GetTopic(), UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
			if err != nil {
				t.Errorf("%q: %v", mask, err)
			} else if diff := cmp.Diff(created.GetTopic(), got.GetTopic(), protocmp.Transform()); diff != "" {
				t.Errorf("%q: changed (-created +got):\n%s", mask, diff)
			}
		}
	}, everyField))
	for name, mask := range map[string][]string{"no mask": nil, "everything": {"*"}, "named": {"settings.dedupe"}, "not named": {"settings.owner"}} {
		t.Run("immutable/"+name, some(func(t *testing.T, c client) {
			topic := newTopic(t, c)
			request := &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: topic, Settings: &optionsv1.TopicSettings{Owner: "them", Dedupe: optionsv1.Dedupe_DEDUPE_EVENT}}}
			if mask != nil {
				request.UpdateMask = &fieldmaskpb.FieldMask{Paths: mask}
			}
			_, err := c.UpdateTopic(testContext(t), request)
			wantRefusal(t, err, because(codes.InvalidArgument, "FIELD_IMMUTABLE").at("topic.settings.dedupe"))
			shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: topic})
			if err != nil || shown.GetTopic().GetSettings().GetOwner() != "" {
				t.Errorf("it is %v, %v", shown, err)
			}
		}, maskNeeds(mask)...))
	}
	t.Run("etag mismatch", each(func(t *testing.T, c client) {
		name := newTopic(t, c)
		first, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Description: "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		second, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Description: "2"}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{
			Topic: &tidingsv1.Topic{Name: name, Etag: first.GetTopic().GetEtag(), Settings: &optionsv1.TopicSettings{Description: "3"}},
		})
		wantRefusal(t, err, because(codes.Aborted, "TOPIC_ETAG_MISMATCH", "topic", name, "etag", second.GetTopic().GetEtag()))
	}))
	t.Run("at once without an etag", some(func(t *testing.T, c client) {
		name := newTopic(t, c)
		errs := make(chan error)
		for _, path := range []string{"settings.description", "settings.event_types", "settings.dedupe_window", "settings.retention"} {
			go func() {
				_, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{
					Topic:      &tidingsv1.Topic{Name: name, Settings: &optionsv1.TopicSettings{Description: "new", EventTypes: []string{orderPaid}, DedupeWindow: durationpb.New(time.Second), Retention: &optionsv1.Retention{MaxBytes: 1 << 20}}},
					UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}},
				})
				errs <- err
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		shown, err := c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := shown.GetTopic(); got.GetSettings().GetDescription() != "new" || len(got.GetSettings().GetEventTypes()) != 1 || got.GetSettings().GetDedupeWindow().GetSeconds() != 1 || got.GetSettings().GetRetention() == nil {
			t.Errorf("an update is lost: %v", got)
		}
	}))
	t.Run("unknown type", some(func(t *testing.T, c client) {
		_, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: newTopic(t, c), Settings: &optionsv1.TopicSettings{EventTypes: []string{"a.B"}}}})
		wantRefusal(t, err, because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "a.B").at("topic.settings.event_types[0]"))
	}))
	t.Run("not found", each(func(t *testing.T, c client) {
		name := newName()
		_, err := c.UpdateTopic(testContext(t), &tidingsv1.UpdateTopicRequest{Topic: &tidingsv1.Topic{Name: name}})
		wantRefusal(t, err, because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name))
	}))
}

func TestDeleteTopic(t *testing.T) {
	t.Run("and create again", each(func(t *testing.T, c client) {
		name := newTopic(t, c)
		publish(t, c, name, orders(t, "old", 2)...)
		if _, err := c.DeleteTopic(testContext(t), &tidingsv1.DeleteTopicRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		gone := because(codes.NotFound, "TOPIC_NOT_FOUND", "topic", name)
		_, err := c.DeleteTopic(testContext(t), &tidingsv1.DeleteTopicRequest{Name: name})
		wantRefusal(t, err, gone)
		_, err = c.GetTopic(testContext(t), &tidingsv1.GetTopicRequest{Name: name})
		wantRefusal(t, err, gone)
		_, err = c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: name, Events: orders(t, "new", 1)})
		wantRefusal(t, err, gone)
		if _, err = c.CreateTopic(testContext(t), &tidingsv1.CreateTopicRequest{Topic: &tidingsv1.Topic{Name: name}}); err != nil {
			t.Fatal(err)
		}
		if got := latest(t, c, name); got != 0 {
			t.Errorf("the new topic holds events up to %d", got)
		}
	}))
}
