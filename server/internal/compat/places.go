package compat

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/schema"
)

// Buf says where something is by line, and not which element it is. So each
// element of the newer schemas is given a line of its own, over all files: that
// line gives the element, and the element its line in the source, where the
// image has it.

// places are the elements by the line that they were given, from 1 on.
type places struct{ list []place }

type place struct {
	file    string
	element string // Its full name; empty for the file.
	line    int    // In the source, from 1; 0 where it isn't known.
}

func newPlaces() *places { return new(places) }

// at returns the element at a line that was given.
func (p *places) at(line int) (place, bool) {
	if line < 1 || line > len(p.list) {
		return place{}, false
	}
	return p.list[line-1], true
}

// Buf's own fields of a file: ImageFile.buf_extension, and is_import in it.
const (
	bufExtension = 8042
	isImport     = 1
)

// encode returns an image as Buf reads it, with lines from places, or without
// any where that is nil. What is outside of the packages is marked as imported,
// since it isn't compared; the rest is changed before by a function that returns
// a copy.
func encode(image *schema.Image, packages map[string]bool, p *places, change func(*descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto) ([]byte, error) {
	set := new(descriptorpb.FileDescriptorSet)
	for _, original := range image.Files() {
		imported := !packages[original.GetPackage()]
		copied := change
		if imported {
			copied = proto.CloneOf
		}
		file := copied(original)
		info := file.GetSourceCodeInfo()
		file.SourceCodeInfo = nil
		if p != nil && !imported {
			file.SourceCodeInfo = p.number(file, info)
		}
		file.ProtoReflect().SetUnknown(importMark(imported))
		set.File = append(set.File, file)
	}
	// Buf takes no image without a file of its own, which is what is left where
	// all of a package is gone.
	set.File = append(set.File, &descriptorpb.FileDescriptorProto{Name: new("tidings/nothing.proto"), Syntax: new("proto3")})
	return proto.Marshal(set)
}

func importMark(imported bool) []byte {
	if !imported {
		return nil
	}
	mark := protowire.AppendVarint(protowire.AppendTag(nil, isImport, protowire.VarintType), 1)
	return protowire.AppendBytes(protowire.AppendTag(nil, bufExtension, protowire.BytesType), mark)
}

// lineNumbers gives lines to the elements of one file.
type lineNumbers struct {
	places *places
	file   string
	lines  map[string]int // The lines in the source, by path.
	info   *descriptorpb.SourceCodeInfo
}

// number gives a line to each element of a file, whose lines in the source info
// has.
func (p *places) number(file *descriptorpb.FileDescriptorProto, info *descriptorpb.SourceCodeInfo) *descriptorpb.SourceCodeInfo {
	n := &lineNumbers{places: p, file: file.GetName(), lines: make(map[string]int), info: new(descriptorpb.SourceCodeInfo)}
	for _, location := range info.GetLocation() {
		if len(location.GetSpan()) > 0 {
			n.lines[pathKey(location.GetPath())] = int(location.GetSpan()[0]) + 1
		}
	}
	n.walk(file.ProtoReflect(), nil, file.GetPackage(), 0)
	return n.info
}

func pathKey(path []int32) string {
	var key []byte
	for _, step := range path {
		key = protowire.AppendVarint(key, uint64(uint32(step)))
	}
	return string(key)
}

// locate gives a line to what is at a path, which is an element or a part of
// one. It returns the line in the source, which is that of what it is a part of
// where it has none.
func (n *lineNumbers) locate(path []int32, element string, line int) int {
	if own, ok := n.lines[pathKey(path)]; ok {
		line = own
	}
	n.places.list = append(n.places.list, place{n.file, element, line})
	n.info.Location = append(n.info.Location, &descriptorpb.SourceCodeInfo_Location{
		// In descriptors the first line is 0.
		Path: slices.Clone(path), Span: []int32{int32(len(n.places.list) - 1), 0, 1},
	})
	return line
}

// walk locates the fields of a descriptor that are set, and what is in them. The
// scope is the full name that the names in it follow, and the line that of what
// the descriptor is in.
func (n *lineNumbers) walk(message protoreflect.Message, path []int32, scope string, line int) {
	element := n.element(path, scope)
	line = n.locate(path, element, line)
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := append(slices.Clone(path), int32(field.Number()))
		switch {
		case field.IsMap():
			n.locate(at, element, line)
		case field.IsList():
			line := n.locate(at, element, line)
			list := value.List()
			for i := range list.Len() {
				one := append(slices.Clone(at), int32(i))
				if field.Message() == nil {
					n.locate(one, element, line)
					continue
				}
				n.walk(list.Get(i).Message(), one, nameIn(scope, field, list.Get(i).Message()), line)
			}
		case field.Message() != nil:
			n.walk(value.Message(), at, scope, line)
		default:
			n.locate(at, element, line)
		}
		return true
	})
}

// element is the full name of what is at a path: the package's own is nobody's.
func (n *lineNumbers) element(path []int32, scope string) string {
	const firstOfElements, lastOfElements = 4, 7 // message_type, enum_type, service, extension.
	if len(path) == 0 || path[0] < firstOfElements || path[0] > lastOfElements {
		return ""
	}
	return scope
}

// nameIn returns the full name of what a list in a descriptor holds, or the
// scope where it has no name of its own.
func nameIn(scope string, field protoreflect.FieldDescriptor, message protoreflect.Message) string {
	if field.ContainingMessage().ParentFile().Path() != "google/protobuf/descriptor.proto" {
		return scope
	}
	name := message.Descriptor().Fields().ByName("name")
	if name == nil || name.Kind() != protoreflect.StringKind || !message.Has(name) {
		return scope
	}
	// The values of an enum are its siblings, not in it.
	if message.Descriptor().Name() == "EnumValueDescriptorProto" {
		scope = string(protoreflect.FullName(scope).Parent())
	}
	if scope == "" {
		return message.Get(name).String()
	}
	return scope + "." + message.Get(name).String()
}
