package daemon_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// declares writes a file of schemas that declares the topic `notes`.
func declares(t *testing.T, file string, settings *optionsv1.TopicSettings) {
	t.Helper()
	notes := schematest.Declaring(schematest.Event("notes.v1", "notes", "text string"), &optionsv1.TopicOptions{Name: "notes", Settings: settings})
	if err := os.WriteFile(file, schematest.Image(notes), 0o600); err != nil {
		t.Fatal(err)
	}
}

func notesTopic(ctx context.Context, t *testing.T, p *process) *tidingsv1.Topic {
	t.Helper()
	response, err := tidingsv1.NewTopicServiceClient(p.dial(t)).GetTopic(ctx, &tidingsv1.GetTopicRequest{Name: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	return response.GetTopic()
}

// A topic is as its schema declares it, from start to start; what it can't become
// stops the start.
func TestDeclaredTopics(t *testing.T) {
	onEach(t, func(t *testing.T, storage string) {
		cfg := daemon.DefaultConfig()
		storages[storage](t, &cfg)
		cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
		ctx := t.Context()

		settings := &optionsv1.TopicSettings{
			Description: "Notes.", Owner: "us", DedupeWindow: durationpb.New(time.Hour),
			Retention: &optionsv1.Retention{MaxAge: durationpb.New(time.Minute), MaxBytes: 1 << 20},
		}
		declares(t, cfg.Schemas, settings)
		p := start(t, cfg)
		wanted := proto.CloneOf(settings)
		wanted.Dedupe = optionsv1.Dedupe_DEDUPE_REQUEST
		if got := notesTopic(ctx, t, p); !got.GetDeclared() || !proto.Equal(got.GetSettings(), wanted) {
			t.Errorf("the topic is %v", got)
		}
		publisher := tidingsv1.NewPublisherServiceClient(p.dial(t))
		publishNotes(ctx, t, publisher, "a", 3)
		publishNotes(ctx, t, publisher, "b", 2)
		if got := notesTopic(ctx, t, p).GetStatistics(); got.GetEventCount() != 5 || got.GetEventCountEstimated() {
			t.Errorf("the statistics are %v", got)
		}
		p.end(syscall.SIGTERM)

		settings.Owner, settings.Retention.MaxAge = "them", nil
		declares(t, cfg.Schemas, settings)
		wanted = proto.CloneOf(settings)
		wanted.Dedupe = optionsv1.Dedupe_DEDUPE_REQUEST
		p = start(t, cfg)
		changed := notesTopic(ctx, t, p)
		if !proto.Equal(changed.GetSettings(), wanted) || changed.GetStatistics().GetEventCount() != 5 {
			t.Errorf("declared otherwise, the topic is %v", changed)
		}
		_, err := tidingsv1.NewTopicServiceClient(p.dial(t)).UpdateTopic(ctx, &tidingsv1.UpdateTopicRequest{
			Topic: &tidingsv1.Topic{Name: "notes", Settings: &optionsv1.TopicSettings{Owner: "others"}},
		})
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("an update: %v", err)
		}
		p.end(syscall.SIGTERM)

		settings.Dedupe = optionsv1.Dedupe_DEDUPE_EVENT
		declares(t, cfg.Schemas, settings)
		cfg.HTTPAddr, cfg.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
		err = daemon.Run(ctx, cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), `things/notes.v1.proto: option (tidings.options.v1.topic) for "notes": settings.dedupe: `) {
			t.Errorf("with another dedupe: %v", err)
		}

		settings.Dedupe = optionsv1.Dedupe_DEDUPE_REQUEST
		declares(t, cfg.Schemas, settings)
		if got := notesTopic(ctx, t, start(t, cfg)); got.GetEtag() != changed.GetEtag() {
			t.Errorf("declared as before, the topic is %v", got)
		}
	})
}

func publishNotes(ctx context.Context, t *testing.T, c tidingsv1.PublisherServiceClient, prefix string, count int) {
	t.Helper()
	request := new(tidingsv1.PublishRequest)
	for i := range count {
		request.Events = append(request.Events, &tidingsv1.Event{
			Id: fmt.Sprint(prefix, i), Source: "/test", Data: &anypb.Any{TypeUrl: "type.googleapis.com/notes.v1.Noted", Value: []byte{0x0a, 1, 'x'}},
		})
	}
	if _, err := c.Publish(ctx, request); err != nil {
		t.Fatal(err)
	}
}

// A file that is read again changes topics too, and is refused where a topic can't
// be changed so.
func TestReloadChangesTopics(t *testing.T) {
	t.Parallel()
	r := startReloading(t, withBuf(t))
	declares(t, r.file, &optionsv1.TopicSettings{Owner: "first"})
	r.log.next(t, "topic has the settings that its schema declares", "topic=notes")
	r.log.next(t, reloaded, "")
	declares(t, r.file, &optionsv1.TopicSettings{Owner: "second", Dedupe: optionsv1.Dedupe_DEDUPE_EVENT})
	r.log.next(t, notReloaded, `things/notes.v1.proto: option (tidings.options.v1.topic) for "notes": settings.dedupe: `)
	r.want(t, "text")
	declares(t, r.file, &optionsv1.TopicSettings{Owner: "third"})
	r.log.next(t, "topic has the settings that its schema declares", "topic=notes")
	r.log.next(t, reloaded, "")
}

// The events of a topic are counted, and a storage that only estimates their number
// says so.
func TestEventCount(t *testing.T) {
	onEach(t, func(t *testing.T, storage string) {
		cfg := daemon.DefaultConfig()
		storages[storage](t, &cfg)
		cfg.Schemas = filepath.Join(t.TempDir(), "schemas.binpb")
		declares(t, cfg.Schemas, nil)
		p := start(t, cfg)
		publisher := tidingsv1.NewPublisherServiceClient(p.dial(t))
		const requests = 80 // More than those that are looked at one by one in NATS.
		for i := range requests {
			publishNotes(t.Context(), t, publisher, fmt.Sprint(i, "-"), 2)
		}
		got := notesTopic(t.Context(), t, p).GetStatistics()
		if got.GetEventCount() != 2*requests || got.GetEventCountEstimated() != (storage == "nats") {
			t.Errorf("the statistics are %v", got)
		}
	})
}
