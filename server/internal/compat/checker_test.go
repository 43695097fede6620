package compat_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/schema"
)

const orders = "shop/orders/v1/events.proto"

type files = map[string]*descriptorpb.FileDescriptorProto

// placed is the event OrderPlaced.
func placed(f files) *descriptorpb.DescriptorProto {
	messages := f[orders].GetMessageType()
	return messages[slices.IndexFunc(messages, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "OrderPlaced" })]
}

// addRemark adds a field to a message.
func addRemark(m *descriptorpb.DescriptorProto, options *descriptorpb.FieldOptions) {
	var last int32
	for _, field := range m.GetField() {
		last = max(last, field.GetNumber())
	}
	m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
		Name: new("remark"), JsonName: new("remark"), Number: new(last + 1), Options: options,
		Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	})
}

func checker(t *testing.T) *compat.Checker {
	t.Helper()
	c, err := compat.New(t.Context(), buftest.Need(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// examples reads the example schemas and changes them.
func examples(t *testing.T, change func(map[string]*descriptorpb.FileDescriptorProto)) *schema.Image {
	t.Helper()
	encoded, err := os.ReadFile("../../../examples/events/events.binpb")
	if err != nil {
		t.Fatal(err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(encoded, set); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*descriptorpb.FileDescriptorProto)
	for _, file := range set.GetFile() {
		files[file.GetName()] = file
	}
	change(files)
	set.File = slices.DeleteFunc(set.GetFile(), func(file *descriptorpb.FileDescriptorProto) bool {
		return files[file.GetName()] == nil
	})
	if encoded, err = proto.Marshal(set); err != nil {
		t.Fatal(err)
	}
	image, err := schema.ReadImage(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestVersionIsThePinnedOne(t *testing.T) {
	t.Parallel()
	if got := checker(t).Version(); got != compat.Version {
		t.Errorf("tools/go.mod pins buf %s, and this release says that it was tested with %s", got, compat.Version)
	}
}

func TestNoBuf(t *testing.T) {
	t.Parallel()
	for _, path := range []string{filepath.Join(t.TempDir(), "buf"), "no-such-program-at-all", "false"} {
		if c, err := compat.New(t.Context(), path); !errors.Is(err, compat.ErrFailed) {
			t.Errorf("%s: %v, %v", path, c, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	c := checker(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	image := examples(t, func(map[string]*descriptorpb.FileDescriptorProto) {})
	if _, err := c.Compare(ctx, image, image, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	c := checker(t)
	older := examples(t, func(map[string]*descriptorpb.FileDescriptorProto) {})
	for name, test := range map[string]struct {
		change func(files)
		want   []compat.Violation
	}{
		"nothing": {func(files) {}, nil},
		"a field more": {func(f files) {
			addRemark(placed(f), nil)
		}, nil},
		"a comment less": {func(f files) { f[orders].SourceCodeInfo = nil }, nil},
		"a name": {func(f files) {
			placed(f).GetField()[1].Name = new("other")
		}, []compat.Violation{
			{Rule: "FIELD_SAME_NAME", Element: "shop.orders.v1.OrderPlaced.other", File: orders, Line: -1},
		}},
		"a type, in an image without places": {func(f files) {
			f[orders].SourceCodeInfo = nil
			placed(f).GetField()[0].Type = descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()
		}, []compat.Violation{
			{Rule: "FIELD_SAME_TYPE", Element: "shop.orders.v1.OrderPlaced.order_id", File: orders},
		}},
		"a field less": {func(f files) {
			m := placed(f)
			m.Field = m.GetField()[:len(m.GetField())-1]
		}, []compat.Violation{
			{Rule: "FIELD_NO_DELETE", Element: "shop.orders.v1.OrderPlaced", File: orders, Line: -1},
		}},
		"a message less": {func(f files) {
			f[orders].MessageType = slices.DeleteFunc(f[orders].GetMessageType(), func(m *descriptorpb.DescriptorProto) bool {
				return m.GetName() == "OrderPlaced"
			})
		}, []compat.Violation{
			{Rule: "MESSAGE_NO_DELETE", File: orders},
		}},
		"a package less": {func(f files) {
			for name := range f {
				if f[name].GetPackage() == "shop.orders.v1" {
					delete(f, name)
				}
			}
		}, slices.Repeat([]compat.Violation{{Rule: "MESSAGE_NO_DELETE"}}, 7)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantViolations(t, c, examples(t, test.change), older, test.want)
		})
	}
}

// wantViolations compares the orders of two images. Messages aren't compared, and
// Line -1 is any in the element.
func wantViolations(t *testing.T, c *compat.Checker, newer, older *schema.Image, want []compat.Violation) {
	t.Helper()
	got, err := c.Compare(t.Context(), newer, older, map[string]bool{"shop.orders.v1": true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Message == "" {
			t.Errorf("violation %d has no message", i)
		}
		got[i].Message = ""
		if got[i].Line > 0 && i < len(want) && want[i].Line == -1 {
			wantText(t, newer, got[i])
			got[i].Line = -1
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other violations (-want +got):\n%s", diff)
	}
}

// wantText checks that the line of a violation is that of its element, or of
// something that the file says of itself.
func wantText(t *testing.T, image *schema.Image, v compat.Violation) {
	t.Helper()
	const options = 8
	set, err := image.Set()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range image.Files() {
		if file.GetName() != v.File {
			continue
		}
		if v.Element == "" {
			if !slices.ContainsFunc(file.GetSourceCodeInfo().GetLocation(), func(location *descriptorpb.SourceCodeInfo_Location) bool {
				return len(location.GetPath()) > 0 && location.GetPath()[0] == options && int(location.GetSpan()[0])+1 == v.Line
			}) {
				t.Errorf("no option of %s is at line %d", v.File, v.Line)
			}
			continue
		}
		descriptor, err := set.Files().FindDescriptorByName(protoreflect.FullName(v.Element))
		if err != nil {
			t.Fatal(err)
		}
		location := descriptor.ParentFile().SourceLocations().ByDescriptor(descriptor)
		if v.Line < location.StartLine+1 || v.Line > location.EndLine+1 {
			t.Errorf("%s is at lines %d to %d, not %d", v.Element, location.StartLine+1, location.EndLine+1, v.Line)
		}
	}
}
