package governance_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/governance"
	"example.com/tidings/server/internal/schema/schematest"
)

// What is no event type is named in the log, however it comes, up to a number.
func TestIgnoredTypesAreNamed(t *testing.T) {
	taken := func(count int) *descriptorpb.FileDescriptorProto {
		file := &descriptorpb.FileDescriptorProto{Name: new("acme.proto"), Package: new("tidings.v9"), Syntax: new("proto3")}
		for i := range count {
			file.MessageType = append(file.MessageType, &descriptorpb.DescriptorProto{Name: new(fmt.Sprintf("Sent%02d", i))})
		}
		return file
	}
	var log strings.Builder
	logged := func(want string) {
		t.Helper()
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), want) || strings.Contains(log.String(), "Any") || strings.Count(log.String(), "\n") > 3 {
			t.Errorf("the log is %s", &log)
		}
		log.Reset()
	}
	s, err := governance.New(t.Context(), governance.Config{
		Engine: newEngine(t), Base: base(t, taken(12)), Comparer: new(comparer), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	logged(`messages="tidings.v9.Sent00, tidings.v9.Sent01, tidings.v9.Sent02, tidings.v9.Sent03, tidings.v9.Sent04, tidings.v9.Sent05, tidings.v9.Sent06, tidings.v9.Sent07, tidings.v9.Sent08, tidings.v9.Sent09 and 2 more"`)
	if err := s.Replace(t.Context(), base(t, taken(2))); err != nil {
		t.Fatal(err)
	}
	logged(`messages="tidings.v9.Sent00, tidings.v9.Sent01"`)
	register(t, s, taken(1), schematest.Event("notes.v1", "", "text string"))
	logged("messages=tidings.v9.Sent00")
}
