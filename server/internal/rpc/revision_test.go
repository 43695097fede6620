package rpc_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// typeAt returns an event type in a revision, or the present one, and the names of
// its fields.
func typeAt(t *testing.T, c client, pkg, revision string) (found *tidingsv1.EventType, fields []string) {
	t.Helper()
	response, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: pkg + ".Noted", Revision: revision})
	if err != nil {
		t.Fatal(err)
	}
	files := response.GetFileDescriptorSet().GetFile()
	for _, field := range files[len(files)-1].GetMessageType()[0].GetField() {
		fields = append(fields, field.GetName())
	}
	return response.GetEventType(), fields
}

// Every event names the revision of its own type, wherever it comes from, and that
// leads to the type as it was.
func TestRevisionOfAnEvent(t *testing.T) {
	t.Run("leads to its type", some(func(t *testing.T, c client) {
		for _, dedupe := range []optionsv1.Dedupe{optionsv1.Dedupe_DEDUPE_REQUEST, optionsv1.Dedupe_DEDUPE_EVENT} {
			topic := newTopic(t, c, func(topic *tidingsv1.Topic) { topic.Settings.Dedupe = dedupe })
			first, _ := newPackage()
			second, _ := newPackage()
			register(t, c, schematest.Event(first, "", "text string"))
			register(t, c, schematest.Event(second, "", "text string"))
			publish := func(events ...*tidingsv1.Event) {
				t.Helper()
				if _, err := c.Publish(testContext(t), &tidingsv1.PublishRequest{Topic: topic, Events: events}); err != nil {
					t.Fatal(err)
				}
			}
			publish(noted(first, "0", "x"))
			one, _ := typeAt(t, c, first, "")
			other, _ := typeAt(t, c, second, "")
			register(t, c, schematest.Event(first, "", "text string", "more string"))
			two, _ := typeAt(t, c, first, "")
			publish(noted(second, "1", "x"), noted(first, "2", "x"), noted(first, "2", "x"), noted(second, "3", "x"))
			publish(noted(first, "0", "x"), noted(second, "4", "x"), noted(first, "5", "x"))
			want := []string{one.GetRevision(), other.GetRevision(), two.GetRevision(), two.GetRevision(), other.GetRevision(), two.GetRevision(), other.GetRevision(), two.GetRevision()}
			if dedupe == optionsv1.Dedupe_DEDUPE_EVENT { // What was sent twice is there once.
				want = []string{one.GetRevision(), other.GetRevision(), two.GetRevision(), other.GetRevision(), other.GetRevision(), two.GetRevision()}
			}
			wantRecorded(t, c, topic, (*tidingsv1.RecordedEvent).GetSchemaRevision, want)
			for _, revision := range []*tidingsv1.EventType{one, two} {
				found, fields := typeAt(t, c, first, revision.GetRevision())
				if found.GetRevision() != revision.GetRevision() || (len(fields) == 2) != (revision == two) {
					t.Errorf("the revision %s leads to %v with %q", revision.GetRevision(), found, fields)
				}
			}
		}
	}, opaquePayloads))
}

func TestListEventTypeRevisions(t *testing.T) {
	pkg, _ := newPackage()
	name, c := pkg+".Noted", newGRPCClient(dialGRPC(t, shared.grpcAddr))
	var want []string
	fields := []string{"text string"}
	for i := range 3 {
		register(t, c, schematest.Event(pkg, "", fields...))
		found, _ := typeAt(t, c, pkg, "")
		want = append([]string{found.GetRevision()}, want...)
		fields = append(fields, fmt.Sprintf("more%d string", i))
	}
	t.Run("newest first", each(func(t *testing.T, c client) {
		for _, size := range []int32{0, 1, 2, 3, 1 << 30} {
			request, got := &tidingsv1.ListEventTypeRevisionsRequest{Name: name, PageSize: size}, []string(nil)
			for last := false; !last; last = request.GetPageToken() == "" {
				response, err := c.ListEventTypeRevisions(testContext(t), request)
				if err != nil {
					t.Fatal(err)
				}
				for _, revision := range response.GetRevisions() {
					got = append(got, revision.GetRevision())
					if revision.GetCreateTime().AsTime().Year() < 2020 {
						t.Errorf("created at %v", revision.GetCreateTime())
					}
				}
				request.PageToken = response.GetNextPageToken()
			}
			if !slices.Equal(got, want) {
				t.Errorf("by %d: %q, want %q", size, got, want)
			}
		}
	}))
	t.Run("refused", each(func(t *testing.T, c client) {
		const revision = "0123456789abcdef"
		_, err := c.ListEventTypeRevisions(testContext(t), &tidingsv1.ListEventTypeRevisionsRequest{Name: "a.B"})
		wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_NOT_FOUND", "type", "a.B"))
		_, err = c.ListEventTypeRevisions(testContext(t), &tidingsv1.ListEventTypeRevisionsRequest{Name: "a..b"})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("name"))
		_, err = c.ListEventTypeRevisions(testContext(t), &tidingsv1.ListEventTypeRevisionsRequest{Name: orderPlaced, PageToken: "x"})
		wantRefusal(t, err, because(codes.InvalidArgument, "PAGE_TOKEN_INVALID").at("page_token"))
		_, err = c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: "a.B", Revision: revision})
		wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_NOT_FOUND", "type", "a.B"))
		_, err = c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: orderPlaced, Revision: revision})
		wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_REVISION_NOT_FOUND", "type", orderPlaced, "revision", revision))
		_, err = c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: orderPlaced, Revision: "x"})
		wantRefusal(t, err, because(codes.InvalidArgument, "REQUEST_INVALID").at("revision"))
	}))
}

// Revisions are there after a start with other schemas, also of types that the
// server no longer has, and one that is in force again is the first.
func TestRevisionsAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(later bool, f func(c client)) {
		t.Helper()
		s, err := startTypes(t.Context(), dir, nil, evolving(t, later))
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		f(newGRPCClient(dialGRPC(t, s.grpcAddr)))
	}
	const name = "evo.v1.Event"
	revisions := func(c client) (list []string) {
		t.Helper()
		response, err := c.ListEventTypeRevisions(testContext(t), &tidingsv1.ListEventTypeRevisionsRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range response.GetRevisions() {
			list = append(list, one.GetRevision())
		}
		return list
	}
	var first, second []string
	run(false, func(c client) { first = revisions(c) })
	run(true, func(c client) { second = revisions(c) })
	if len(first) != 1 || len(second) != 2 || second[1] != first[0] || second[0] == first[0] {
		t.Fatalf("the revisions are %q, then %q", first, second)
	}
	run(false, func(c client) {
		if again := revisions(c); !slices.Equal(again, []string{second[1], second[0]}) {
			t.Errorf("in force again, the revisions are %q", again)
		}
		for _, revision := range second {
			found, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: name, Revision: revision})
			if err != nil || found.GetEventType().GetRevision() != revision {
				t.Errorf("%s leads to %v, %v", revision, found.GetEventType(), err)
			}
		}
	})
	// A server of other types.
	s, err := startWith(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c := newGRPCClient(dialGRPC(t, s.grpcAddr))
	if again := revisions(c); !slices.Equal(again, second) {
		t.Errorf("of a type that the server no longer has, the revisions are %q", again)
	}
	_, err = c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: name, Revision: first[0]})
	if err != nil {
		t.Error(err)
	}
	_, err = c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: name})
	wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_NOT_FOUND", "type", name))
}
