package contract

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// commented returns a file with a service, whose RPCs have comments, and an enum
// with a comment.
func commented(t *testing.T, catalogue string, comments ...string) protoreflect.FileDescriptor {
	t.Helper()
	service := &descriptorpb.ServiceDescriptorProto{Name: new("S")}
	info := &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{
		{Path: []int32{5, 0}, Span: []int32{0, 0, 1}, LeadingComments: &catalogue},
	}}
	for i, comment := range comments {
		name := string(rune('A' + i))
		service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: new(".x.M"), OutputType: new(".x.M"),
		})
		info.Location = append(info.Location, &descriptorpb.SourceCodeInfo_Location{
			Path: []int32{6, 0, 2, int32(i)}, Span: []int32{0, 0, 1}, LeadingComments: &comment,
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("x.proto"), Package: new("x"), Syntax: new("proto3"), SourceCodeInfo: info,
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("M")}},
		Service:     []*descriptorpb.ServiceDescriptorProto{service},
		EnumType: []*descriptorpb.EnumDescriptorProto{{
			Name: new("E"), Value: []*descriptorpb.EnumValueDescriptorProto{{Name: new("E_ZERO"), Number: proto.Int32(0)}},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReasons(t *testing.T) {
	file := commented(t, " E is.\n\n Every call may end with GONE,\n INTERNAL or nothing. LATE is another.\n",
		" A does it. GONE before.\n\n Errors: LATE, INTERNAL. After LATE it may\n be there; OTHER.\n",
		" B does it.\n\n Errors: those of A, and GONE.\n",
		" C does it.\n",
		" D does it.\n\n Errors: Those of D and of nobody.\n",
	)
	known := []string{"GONE", "INTERNAL", "LATE"}
	methods := file.Services().Get(0).Methods()
	for i, want := range [][]string{{"INTERNAL", "LATE"}, {"GONE", "INTERNAL", "LATE"}, {}, {}} {
		if got := Reasons(methods.Get(i), known); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", methods.Get(i).Name(), got, want)
		}
	}
	if got, want := General(file.Enums().Get(0), known), []string{"GONE", "INTERNAL"}; !slices.Equal(got, want) {
		t.Errorf("of every call: %v, want %v", got, want)
	}
	if got := General(commented(t, " E is.\n").Enums().Get(0), known); got != nil {
		t.Errorf("of every call where nothing says so: %v", got)
	}
}

func TestComment(t *testing.T) {
	file := commented(t, " E is\n this:\n\n     a {\n       b\n     }\n\n And that.\n")
	got := Comment(file.Enums().Get(0))
	want := []string{"E is this:", "    a {\n      b\n    }", "And that."}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !IsExample(got[1]) || IsExample(got[0]) {
		t.Error("the second paragraph is the only example")
	}
}
