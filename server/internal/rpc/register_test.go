package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/schema/schematest"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// newPackage returns the name of a package that no other test registers, and of
// a topic for its events.
func newPackage() (pkg, topic string) {
	name := newName()
	return strings.ReplaceAll(name, "-", "_") + ".v1", name
}

func register(t *testing.T, c client, files ...*descriptorpb.FileDescriptorProto) *tidingsv1beta1.RegisterSchemaResponse {
	t.Helper()
	buftest.Need(t)
	response, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{Image: schematest.Image(files...)})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// fieldsOf returns the fields of an event type as the server has it now, or
// nothing where it doesn't have it.
func fieldsOf(t *testing.T, c client, pkg string) (names []string) {
	t.Helper()
	response, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: pkg + ".Noted"})
	if err != nil {
		wantRefusal(t, err, because(codes.NotFound, "EVENT_TYPE_NOT_FOUND", "type", pkg+".Noted"))
		return nil
	}
	files := response.GetFileDescriptorSet().GetFile()
	for _, field := range files[len(files)-1].GetMessageType()[0].GetField() {
		names = append(names, field.GetName())
	}
	return names
}

func TestRegisterSchema(t *testing.T) {
	buftest.Need(t)
	t.Run("new types are used at once", each(func(t *testing.T, c client) {
		pkg, topic := newPackage()
		file := schematest.Event(pkg, topic, "text string")
		rules := new(validate.FieldRules)
		rules.Type = &validate.FieldRules_String_{String_: &validate.StringRules{MaxLen: new(uint64(3))}}
		file.MessageType[0].Field[0].Options = new(descriptorpb.FieldOptions)
		proto.SetExtension(file.GetMessageType()[0].GetField()[0].GetOptions(), validate.E_Field, rules)
		file.Dependency = append(file.Dependency, "buf/validate/validate.proto")

		response := register(t, c, file)
		if response.GetOutcome() != tidingsv1beta1.Outcome_OUTCOME_CREATED || len(response.GetRevision()) != 16 {
			t.Errorf("%v", response)
		}
		again := register(t, c, file)
		if again.GetOutcome() != tidingsv1beta1.Outcome_OUTCOME_UNCHANGED {
			t.Errorf("once more: %v", again)
		}
		// The topic is there, and events are checked.
		for text, want := range map[string]bool{"abc": true, "abcd": false} {
			payload := []byte{0x0a, byte(len(text))}
			published := &tidingsv1.Event{Id: text, Source: "/test"}
			published.Data = &anypb.Any{TypeUrl: "type.googleapis.com/" + pkg + ".Noted", Value: append(payload, text...)}
			results, err := c.ValidateEvents(testContext(t), &tidingsv1.ValidateEventsRequest{Topic: topic, Events: []*tidingsv1.Event{published}})
			if err != nil {
				t.Fatal(err)
			}
			if got := results.GetResults()[0].GetValid(); got != want {
				t.Errorf("%s: valid %t: %v", text, got, results)
			}
		}
	}, opaquePayloads))
	t.Run("additions pass and breaks don't", some(func(t *testing.T, c client) {
		pkg, topic := newPackage()
		first := register(t, c, schematest.Event(pkg, topic, "text string"))
		second := register(t, c, schematest.Event(pkg, topic, "text string", "count int32"))
		if second.GetOutcome() != tidingsv1beta1.Outcome_OUTCOME_CREATED || second.GetRevision() == first.GetRevision() {
			t.Errorf("%v after %v", second, first)
		}
		_, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{
			Image: schematest.Image(schematest.Event(pkg, topic, "text string", "count string")),
		})
		place := "things/" + pkg + ".proto"
		wantRefusal(t, err, because(codes.FailedPrecondition, "SCHEMA_INCOMPATIBLE",
			"violations", "1", "rule", "FIELD_SAME_TYPE", "element", pkg+".Noted.count",
			"against_revision", second.GetRevision()).at(place))
		if got := fieldsOf(t, c, pkg); !slices.Equal(got, []string{"text", "count"}) {
			t.Errorf("after the refusal the fields are %q", got)
		}
	}))
	t.Run("only validated", each(func(t *testing.T, c client) {
		pkg, topic := newPackage()
		response, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{
			Image: schematest.Image(schematest.Event(pkg, topic, "text string")), ValidateOnly: true,
		})
		if err != nil || response.GetOutcome() != tidingsv1beta1.Outcome_OUTCOME_CREATED {
			t.Fatal(response, err)
		}
		if got := fieldsOf(t, c, pkg); got != nil {
			t.Errorf("it has the fields %q", got)
		}
	}))
	t.Run("other revision", each(func(t *testing.T, c client) {
		pkg, topic := newPackage()
		_, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{
			Image: schematest.Image(schematest.Event(pkg, topic, "text string")), ExpectedRevision: "0123456789abcdef",
		})
		wantRefusal(t, err, because(codes.Aborted, "SCHEMA_REVISION_MISMATCH", "expected", "0123456789abcdef", "actual", anything))
	}))
	t.Run("refused", some(func(t *testing.T, c client) {
		for name, image := range badImages() {
			_, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{Image: image})
			t.Log(name)
			wantRefusal(t, err, because(codes.InvalidArgument, "SCHEMA_INVALID").at("image"))
			_, err = c.CheckCompatibility(testContext(t), &tidingsv1beta1.CheckCompatibilityRequest{Image: image})
			wantRefusal(t, err, because(codes.InvalidArgument, "SCHEMA_INVALID").at("image"))
		}
		invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
		_, err := c.RegisterSchema(testContext(t), &tidingsv1beta1.RegisterSchemaRequest{ExpectedRevision: "x"})
		wantRefusal(t, err, invalid.at("image", "expected_revision"))
		_, err = c.CheckCompatibility(testContext(t), &tidingsv1beta1.CheckCompatibilityRequest{})
		wantRefusal(t, err, invalid.at("image"))
	}))
}

// badImages are images that no server takes.
func badImages() map[string][]byte {
	type file = *descriptorpb.FileDescriptorProto
	changed := func(change func(file)) []byte {
		f := schematest.Event("bad.v1", "bad", "text string", "other string")
		change(f)
		return schematest.Image(f)
	}
	elsewhere := func(pkg string) file {
		f := schematest.Event(pkg, "", "text string")
		f.Name = new("elsewhere.proto")
		return f
	}
	return map[string][]byte{
		"not an image":    []byte("no image"),
		"no file":         {0x1a, 0x00},
		"nothing its own": schematest.Image(&descriptorpb.FileDescriptorProto{Name: new("google/protobuf/x.proto"), Package: new("google.protobuf")}),
		"an import that isn't there": changed(func(f file) {
			f.Dependency = append(f.Dependency, "shop/orders/v1/order.proto")
		}),
		"a name of a file that is none":     changed(func(f file) { f.Name = new("things/bad") }),
		"an import marked that isn't there": changed(func(f file) { f.WeakDependency = []int32{99} }),
		"a type that isn't there": changed(func(f file) {
			field := f.GetMessageType()[0].GetField()[0]
			field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".bad.v1.Nowhere")
		}),
		"a number twice": changed(func(f file) { f.MessageType[0].Field[1].Number = new(int32(1)) }),
		"a topic that is none": changed(func(f file) {
			proto.SetExtension(f.GetMessageType()[0].GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: "No topic"})
		}),
		"a key that isn't there": changed(func(f file) {
			proto.SetExtension(f.GetMessageType()[0].GetOptions(), optionsv1.E_Event, &optionsv1.EventOptions{Topic: "bad", Key: "missing"})
		}),
		"a rule with a mistake": changed(func(f file) {
			f.Dependency = append(f.Dependency, "buf/validate/validate.proto")
			proto.SetExtension(f.GetMessageType()[0].GetOptions(), validate.E_Message, &validate.MessageRules{Cel: []*validate.Rule{
				{Id: new("x"), Expression: new("this.missing > 1")},
			}})
		}),
		"a rule with a mistake in what it holds": changed(func(f file) {
			f.Dependency = append(f.Dependency, "buf/validate/validate.proto")
			options := new(descriptorpb.MessageOptions)
			proto.SetExtension(options, validate.E_Message, &validate.MessageRules{Cel: []*validate.Rule{
				{Id: new("x"), Expression: new("this.missing > 1")},
			}})
			f.MessageType[0].NestedType = []*descriptorpb.DescriptorProto{{Name: new("Part"), Options: options}}
			field := f.GetMessageType()[0].GetField()[0]
			field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".bad.v1.Noted.Part")
		}),
		"one message in two files": schematest.Image(schematest.Event("bad.v1", "", "text string"), elsewhere("bad.v1")),
		"two files of a name":      schematest.Image(schematest.Event("bad.v1", "", "text string"), schematest.Event("bad.v1", "", "text int32")),
	}
}

func TestCheckCompatibility(t *testing.T) {
	buftest.Need(t)
	t.Run("against every revision", some(func(t *testing.T, c client) {
		pkg, topic := newPackage()
		first := register(t, c, schematest.Event(pkg, topic, "text string")).GetRevision()
		second := register(t, c, schematest.Event(pkg, topic, "text string", "count int32")).GetRevision()
		file := "things/" + pkg + ".proto"
		renamed := func(against string) *tidingsv1beta1.Violation {
			return &tidingsv1beta1.Violation{RuleId: "FIELD_SAME_NAME", Element: pkg + ".Noted.other", File: file, AgainstRevision: against}
		}
		for _, test := range []struct {
			fields []string
			want   []*tidingsv1beta1.Violation
		}{
			{[]string{"text string", "count int32", "more string"}, nil},
			{[]string{"other string", "count int32"}, []*tidingsv1beta1.Violation{renamed(first), renamed(second)}},
			{[]string{"text string", "other int32"}, []*tidingsv1beta1.Violation{renamed(second)}},
		} {
			response, err := c.CheckCompatibility(testContext(t), &tidingsv1beta1.CheckCompatibilityRequest{
				Image: schematest.Image(schematest.Event(pkg, topic, test.fields...)),
			})
			if err != nil {
				t.Fatal(err)
			}
			got := slices.DeleteFunc(response.GetViolations(), func(v *tidingsv1beta1.Violation) bool { return v.GetRuleId() == "FIELD_SAME_JSON_NAME" })
			for _, v := range got {
				if v.GetMessage() == "" {
					t.Errorf("%v says nothing", v)
				}
				v.Message = ""
			}
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("%q: other violations (-want +got):\n%s", test.fields, diff)
			}
			if response.GetComparedRevisions() != 2 || response.GetRevision() == response.GetRevisionAfter() {
				t.Errorf("%q: %v", test.fields, response)
			}
		}
		if got := fieldsOf(t, c, pkg); !slices.Equal(got, []string{"text", "count"}) {
			t.Errorf("checking changed the fields: %q", got)
		}
	}))
	t.Run("what the server was started with", each(func(t *testing.T, c client) {
		shown, err := c.GetEventType(testContext(t), &tidingsv1.GetEventTypeRequest{Name: orderPlaced})
		if err != nil {
			t.Fatal(err)
		}
		image := shown.GetFileDescriptorSet()
		events := image.GetFile()[len(image.GetFile())-1]
		check := func() *tidingsv1beta1.CheckCompatibilityResponse {
			t.Helper()
			response, err := c.CheckCompatibility(testContext(t), &tidingsv1beta1.CheckCompatibilityRequest{Image: schematest.Image(image.GetFile()...)})
			if err != nil {
				t.Fatal(err)
			}
			return response
		}
		if same := check(); same.GetRevision() != same.GetRevisionAfter() || len(same.GetViolations()) != 0 {
			t.Errorf("what the server showed changes it: %v", same)
		}
		events.MessageType = slices.DeleteFunc(events.GetMessageType(), func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "OrderPlaced" })
		broken := check().GetViolations()
		if len(broken) != 1 || broken[0].GetRuleId() != "MESSAGE_NO_DELETE" || broken[0].GetFile() != events.GetName() {
			t.Errorf("without the message: %v", broken)
		}
	}))
}
