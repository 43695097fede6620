package cli

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/gen/go/tidings/v1/tidingsv1connect"
)

// pagedTypes is a server that lists one event type a page. Those of a package
// are in one file, which imports one of another package.
type pagedTypes struct {
	tidingsv1connect.SchemaServiceClient
	names []string
	asked []string // Types that were fetched.
}

func (p *pagedTypes) ListEventTypes(_ context.Context, request *tidingsv1.ListEventTypesRequest) (*tidingsv1.ListEventTypesResponse, error) {
	at := max(slices.Index(p.names, request.GetPageToken()), 0)
	response := &tidingsv1.ListEventTypesResponse{EventTypes: []*tidingsv1.EventType{{Name: p.names[at]}}}
	if at+1 < len(p.names) {
		response.NextPageToken = p.names[at+1]
	}
	return response, nil
}

func (p *pagedTypes) GetEventType(_ context.Context, request *tidingsv1.GetEventTypeRequest) (*tidingsv1.GetEventTypeResponse, error) {
	p.asked = append(p.asked, request.GetName())
	pkg := request.GetName()[:len("a.v1")]
	return &tidingsv1.GetEventTypeResponse{FileDescriptorSet: &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: new("google/protobuf/any.proto"), Package: new("google.protobuf")},
		{Name: new("enums.proto"), Package: new("enums.v1")},
		{Name: new(pkg + ".proto"), Package: &pkg, MessageType: []*descriptorpb.DescriptorProto{{Name: new("One")}, {Name: new("Two")}}},
	}}}, nil
}

// TestFetchFiles: every page is read, each file is fetched once, and nothing of
// packages that nobody asks about.
func TestFetchFiles(t *testing.T) {
	server := &pagedTypes{names: []string{"a.v1.One", "a.v1.Two", "b.v1.One", "c.v1.Two", "c.v1.One"}}
	files, err := fetchFiles(t.Context(), &client{schemas: server}, map[string]bool{"a.v1": true, "c.v1": true, "enums.v1": true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.GetName())
	}
	slices.Sort(names)
	if want := []string{"a.v1.proto", "c.v1.proto", "enums.proto"}; !slices.Equal(names, want) {
		t.Errorf("the files are %q, want %q", names, want)
	}
	if want := []string{"a.v1.One", "c.v1.Two"}; !slices.Equal(server.asked, want) {
		t.Errorf("fetched %q, want %q", server.asked, want)
	}
}

// TestOfEvents: what no event type leads to can't be compared, since a server
// wouldn't tell of it.
func TestOfEvents(t *testing.T) {
	files := ofEvents([]*descriptorpb.FileDescriptorProto{
		parseFile(t, `name: "tidings/options/v1/options.proto" package: "tidings.options.v1" message_type { name: "EventOptions" }`),
		parseFile(t, `name: "service.proto" package: "things.v1" service { name: "S" }`),
		parseFile(t, `name: "used.proto" package: "things.v1" enum_type { name: "E" }`),
		parseFile(t, `name: "unused.proto" package: "things.v1" enum_type { name: "F" }`),
		parseFile(t, `name: "event.proto" package: "things.v1" dependency: ["used.proto", "tidings/options/v1/options.proto"] message_type { name: "M" }`),
	})
	var names []string
	for _, file := range files {
		names = append(names, file.GetName())
	}
	if want := []string{"used.proto", "event.proto"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}
