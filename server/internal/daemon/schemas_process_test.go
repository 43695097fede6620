package daemon_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/jetstream/natstest"
	"example.com/tidings/server/internal/schema/schematest"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// withBuf returns the default settings, and the pinned Buf.
func withBuf(t *testing.T) daemon.Config {
	t.Helper()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.Buf = buftest.Need(t)
	return cfg
}

// deadline bounds a test that asks again and again until something is so.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func registerFile(ctx context.Context, p *process, t *testing.T, file *descriptorpb.FileDescriptorProto) (*tidingsv1beta1.RegisterSchemaResponse, error) {
	t.Helper()
	return tidingsv1beta1.NewSchemaServiceClient(p.dial(t)).RegisterSchema(ctx, &tidingsv1beta1.RegisterSchemaRequest{Image: schematest.Image(file)})
}

// fields returns the fields of the event type of a package, or nothing where the
// server doesn't have it.
func fields(ctx context.Context, t *testing.T, c tidingsv1.SchemaServiceClient, pkg string) (names []string) {
	t.Helper()
	response, err := c.GetEventType(ctx, &tidingsv1.GetEventTypeRequest{Name: pkg + ".Noted"})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	files := response.GetFileDescriptorSet().GetFile()
	for _, field := range files[len(files)-1].GetMessageType()[0].GetField() {
		names = append(names, field.GetName())
	}
	return names
}

// wantFields waits until the event type of a package has certain fields.
func wantFields(t *testing.T, p *process, pkg string, want ...string) {
	t.Helper()
	ctx, c := deadline(t), tidingsv1.NewSchemaServiceClient(p.dial(t))
	for {
		if slices.Equal(fields(ctx, t, c, pkg), want) {
			return
		}
	}
}

// What is registered survives a restart, also one without a Buf.
func TestRegisteredSchemasSurvive(t *testing.T) {
	t.Parallel()
	cfg, ctx := withBuf(t), t.Context()
	p := start(t, cfg)
	file := schematest.Event("notes.v1", "notes", "text string")
	if _, err := registerFile(ctx, p, t, file); err != nil {
		t.Fatal(err)
	}
	event := &tidingsv1.Event{Id: "1", Source: "/test", Data: &anypb.Any{TypeUrl: "type.googleapis.com/notes.v1.Noted", Value: []byte("\x0a\x02hi")}}
	request := &tidingsv1.PublishRequest{Events: []*tidingsv1.Event{event}}
	published, err := tidingsv1.NewPublisherServiceClient(p.dial(t)).Publish(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("ended with %d: %s", code, p.Output())
	}

	cfg.Buf = ""
	p = start(t, cfg)
	wantFields(t, p, "notes.v1", "text")
	if _, err := registerFile(ctx, p, t, file); status.Code(err) != codes.Unimplemented {
		t.Errorf("registering without Buf: %v", err)
	}
	got, err := tidingsv1.NewReaderServiceClient(p.dial(t)).GetEvent(ctx, &tidingsv1.GetEventRequest{Topic: "notes", Sequence: published.GetReceipts()[0].GetSequence()})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := tidingsv1.NewSchemaServiceClient(p.dial(t)).GetEventType(ctx, &tidingsv1.GetEventTypeRequest{
		Name: "notes.v1.Noted", Revision: got.GetRecorded().GetSchemaRevision(),
	})
	if err != nil || shown.GetEventType().GetRevision() != got.GetRecorded().GetSchemaRevision() {
		t.Errorf("the revision of %v leads to %v, %v", got, shown.GetEventType(), err)
	}
	event.Id = "2"
	if _, err := tidingsv1.NewPublisherServiceClient(p.dial(t)).Publish(ctx, request); err != nil {
		t.Errorf("publishing after the restart: %v", err)
	}
}

// Two servers on one storage have the same schemas, wherever they are
// registered, and hold each other to them.
func TestReplicasShareSchemas(t *testing.T) {
	t.Parallel()
	cfg, ctx := withBuf(t), deadline(t)
	cfg.DataDir, cfg.NATSURL = "", natstest.URL(outside(t))
	servers := []*process{start(t, cfg), start(t, cfg)}

	// Both register at the same time, and neither undoes what the other did.
	const each = 3
	var ended sync.WaitGroup
	for i, p := range servers {
		ended.Go(func() {
			for n := range each {
				if _, err := registerFile(ctx, p, t, schematest.Event(fmt.Sprintf("server%d.n%d", i, n), "", "text string")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended.Wait()
	for _, p := range servers {
		for i := range servers {
			for n := range each {
				wantFields(t, p, fmt.Sprintf("server%d.n%d", i, n), "text")
			}
		}
	}

	if _, err := registerFile(ctx, servers[0], t, schematest.Event("notes.v1", "notes", "text string")); err != nil {
		t.Fatal(err)
	}
	// At once, whether or not the other has been told.
	if _, err := registerFile(ctx, servers[1], t, schematest.Event("notes.v1", "notes", "text int32")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("breaking what the other server registered: %v", err)
	}
	if _, err := registerFile(ctx, servers[1], t, schematest.Event("notes.v1", "notes", "text string", "count int32")); err != nil {
		t.Fatal(err)
	}
	wantFields(t, servers[0], "notes.v1", "text", "count")
	// The same revisions of the type, whoever was given them.
	var revisions []string
	for _, p := range servers {
		c := tidingsv1.NewSchemaServiceClient(p.dial(t))
		list, err := c.ListEventTypeRevisions(ctx, &tidingsv1.ListEventTypeRevisionsRequest{Name: "notes.v1.Noted"})
		if err != nil || len(list.GetRevisions()) != 2 {
			t.Fatalf("the revisions are %v, %v", list, err)
		}
		for i, revision := range list.GetRevisions() {
			revisions = append(revisions, revision.GetRevision())
			shown, err := c.GetEventType(ctx, &tidingsv1.GetEventTypeRequest{Name: "notes.v1.Noted", Revision: revision.GetRevision()})
			files := shown.GetFileDescriptorSet().GetFile()
			if err != nil || len(files) == 0 || len(files[len(files)-1].GetMessageType()[0].GetField()) != 2-i {
				t.Errorf("revision %d leads to %v, %v", i, shown.GetEventType(), err)
			}
		}
	}
	if !slices.Equal(revisions[:2], revisions[2:]) {
		t.Errorf("the servers have the revisions %q of the type", revisions)
	}
	states := make([]string, len(servers))
	for i, p := range servers {
		response, err := tidingsv1beta1.NewSchemaServiceClient(p.dial(t)).CheckCompatibility(ctx, &tidingsv1beta1.CheckCompatibilityRequest{
			Image: schematest.Image(schematest.Event("other.v1", "", "text string")),
		})
		if err != nil {
			t.Fatal(err)
		}
		states[i] = response.GetRevision()
	}
	if states[0] != states[1] {
		t.Errorf("the servers have the revisions %q", states)
	}
}
