package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/server/internal/imagejson"
	"example.com/tidings/server/internal/reserved"
)

// Image is files of a Buf image or a FileDescriptorSet, each once. It is
// immutable and safe for concurrent use.
//
// Files of the reserved packages only describe schemas or calls. They may differ between images, which are built with
// different releases of them: the server's own serve for all.
type Image struct {
	files  []*descriptorpb.FileDescriptorProto
	byName map[string]*descriptorpb.FileDescriptorProto
}

// ReadImage decodes a Buf image or a FileDescriptorSet, binary or, where the
// first byte is a brace, JSON.
func ReadImage(encoded []byte) (*Image, error) {
	encoded, err := binaryOf(encoded)
	if err != nil {
		return nil, err
	}
	return readBinary(encoded)
}

func binaryOf(encoded []byte) ([]byte, error) {
	if len(encoded) == 0 || encoded[0] != '{' {
		return encoded, nil
	}
	encoded, err := imagejson.Binary(encoded)
	if err != nil {
		return nil, fmt.Errorf("neither a Buf image nor a FileDescriptorSet: %w", err)
	}
	return encoded, nil
}

func readBinary(encoded []byte) (*Image, error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(encoded, set); err != nil {
		return nil, fmt.Errorf("neither a Buf image nor a FileDescriptorSet: %w", err)
	}
	if len(set.GetFile()) == 0 {
		return nil, errors.New("neither a Buf image nor a FileDescriptorSet: it holds no file")
	}
	for _, file := range set.GetFile() {
		if err := checkPaths(file); err != nil {
			return nil, err
		}
	}
	return merge(set.GetFile())
}

func newImage(size int) *Image {
	return &Image{byName: make(map[string]*descriptorpb.FileDescriptorProto, size)}
}

func (i *Image) add(file *descriptorpb.FileDescriptorProto) {
	i.files = append(i.files, file)
	i.byName[file.GetName()] = file
}

// merge makes an image of files. The same file may come several times if it is
// the same each time.
func merge(files []*descriptorpb.FileDescriptorProto) (*Image, error) {
	merged := newImage(len(files))
	owners := make(map[string]string)
	for _, file := range files {
		if before, ok := merged.byName[file.GetName()]; ok {
			if !DescribesOnly(file) && !sameFile(before, file) {
				return nil, fmt.Errorf("%s: two different files of this name", file.GetName())
			}
			continue
		}
		merged.add(file)
		for _, name := range declared(file) {
			switch owner, ok := owners[name]; {
			case ok && owner == file.GetName():
				return nil, fmt.Errorf("%s declares %s twice", owner, name)
			case ok:
				return nil, fmt.Errorf("%s and %s both declare %s", owner, file.GetName(), name)
			}
			owners[name] = file.GetName()
		}
	}
	return merged, nil
}

// join returns an image with the files of both. What both declare has to be the
// same, and in files of the same name, but for what only describes.
func (i *Image) join(other *Image) (*Image, error) {
	var files []*descriptorpb.FileDescriptorProto
	for _, image := range []*Image{i, other} {
		for _, file := range image.files {
			if !DescribesOnly(file) {
				files = append(files, file)
			}
		}
	}
	if _, err := merge(files); err != nil {
		return nil, err
	}
	return i.Succeeding(other), nil
}

// Has reports whether the image has a file of a name.
func (i *Image) Has(file string) bool { return i.byName[file] != nil }

// File returns the file of a name, or nil. It is not to be changed.
func (i *Image) File(name string) *descriptorpb.FileDescriptorProto { return i.byName[name] }

// Files are the files. They and the slice are not to be changed.
func (i *Image) Files() []*descriptorpb.FileDescriptorProto { return i.files }

// Lacking returns an image without the files that another one has too, and has
// the same.
func (i *Image) Lacking(other *Image) *Image {
	result := newImage(len(i.files))
	for _, file := range i.files {
		if twin, ok := other.byName[file.GetName()]; !ok || !DescribesOnly(file) && !sameFile(twin, file) {
			result.add(file)
		}
	}
	return result
}

// Describing returns the files that only describe.
func (i *Image) Describing() *Image {
	result := newImage(len(i.files))
	for _, file := range i.files {
		if DescribesOnly(file) {
			result.add(file)
		}
	}
	return result
}

// Differences returns the packages of the files that differ from those of
// another image, or that only one of both has. What only describes is no
// difference.
func (i *Image) Differences(other *Image) map[string]bool {
	packages := make(map[string]bool)
	for _, pair := range [][2]*Image{{i, other}, {other, i}} {
		for _, file := range pair[0].files {
			if DescribesOnly(file) {
				continue
			}
			if twin, ok := pair[1].byName[file.GetName()]; !ok || !sameFile(twin, file) {
				packages[file.GetPackage()] = true
			}
		}
	}
	return packages
}

// Holds reports whether each file of some packages in another image is in this one,
// and the same.
func (i *Image) Holds(other *Image, packages map[string]bool) bool {
	for _, file := range other.files {
		if !packages[file.GetPackage()] {
			continue
		}
		if own, ok := i.byName[file.GetName()]; !ok || !sameFile(own, file) {
			return false
		}
	}
	return true
}

// Of returns the files of some packages and all that they import.
func (i *Image) Of(packages map[string]bool) *Image {
	needed := make(map[string]bool)
	var need func(file *descriptorpb.FileDescriptorProto)
	need = func(file *descriptorpb.FileDescriptorProto) {
		if file == nil || needed[file.GetName()] {
			return
		}
		needed[file.GetName()] = true
		for _, path := range file.GetDependency() {
			need(i.byName[path])
		}
	}
	for _, file := range i.files {
		if packages[file.GetPackage()] {
			need(file)
		}
	}
	result := newImage(len(needed))
	for _, file := range i.files {
		if needed[file.GetName()] {
			result.add(file)
		}
	}
	return result
}

// SelfContained returns an error unless the image declares something and holds
// what it imports. What only describes may be in the server's image instead.
func (i *Image) SelfContained(server *Image) error {
	declares := false
	for _, file := range i.files {
		declares = declares || !DescribesOnly(file)
		for _, path := range file.GetDependency() {
			if _, ok := i.byName[path]; ok {
				continue
			}
			if known, ok := server.byName[path]; ok && DescribesOnly(known) {
				continue
			}
			return fmt.Errorf("%s imports %s, which isn't in the image", file.GetName(), path)
		}
	}
	if !declares {
		return errors.New("there is no schema in it besides those that only describe schemas")
	}
	return nil
}

// Encode returns the schemas of the image, without the files that only describe
// and that the server has too.
func (i *Image) Encode(server *Image) ([]byte, error) {
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range i.files {
		if _, known := server.byName[file.GetName()]; !known || !DescribesOnly(file) {
			set.File = append(set.File, file)
		}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// EncodeAll returns the schemas of the image without their comments, or with them.
func (i *Image) EncodeAll(comments bool) ([]byte, error) {
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range i.files {
		if !comments {
			file = bare(file)
		}
		set.File = append(set.File, file)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(set)
}

// revision is a hash of what the schemas say: comments, the order of files and
// what only describes have no part in it.
func (i *Image) revision() ([]byte, error) {
	files := slices.Clone(i.files)
	slices.SortFunc(files, func(a, b *descriptorpb.FileDescriptorProto) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
	hash := sha256.New()
	for _, file := range files {
		if DescribesOnly(file) {
			continue
		}
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare(file))
		if err != nil {
			return nil, err
		}
		hash.Write(binary.AppendUvarint(nil, uint64(len(encoded))))
		hash.Write(encoded)
	}
	return hash.Sum(nil)[:RevisionSize], nil
}

// Set makes the set of the image's event types: every top-level message is one,
// except for those of files that only describe.
func (i *Image) Set() (*Set, error) {
	files, err := i.Descriptors()
	if err != nil {
		return nil, err
	}
	set, err := newSet(files)
	if err != nil {
		return nil, err
	}
	set.image = i
	set.revision, err = i.revision()
	return set, err
}

// Descriptors returns the descriptors of all that the image declares, or an error
// that is a *MissingError where it lacks something.
func (i *Image) Descriptors() (*protoregistry.Files, error) {
	if err := i.resolve(); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: i.files})
	if err != nil {
		return nil, fmt.Errorf("descriptors don't fit together: %w", err)
	}
	return files, nil
}

// sameFile compares two files but for their comments and Buf's own fields,
// which depend on how they were built.
func sameFile(a, b *descriptorpb.FileDescriptorProto) bool {
	return a == b || proto.Equal(bare(a), bare(b))
}

// bare is a view of a file without them.
func bare(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	result := shallow(file)
	result.SourceCodeInfo = nil
	return result
}

// Documented is a view of a file with no source info but its comments, or none at
// all, and without Buf's own fields.
func Documented(file *descriptorpb.FileDescriptorProto, comments bool) *descriptorpb.FileDescriptorProto {
	result := bare(file)
	if !comments {
		return result
	}
	info := new(descriptorpb.SourceCodeInfo)
	for _, location := range file.GetSourceCodeInfo().GetLocation() {
		if location.GetLeadingComments() != "" || location.GetTrailingComments() != "" || len(location.GetLeadingDetachedComments()) > 0 {
			info.Location = append(info.Location, location)
		}
	}
	if len(info.GetLocation()) > 0 {
		result.SourceCodeInfo = info
	}
	return result
}

// shallow copies a file, but not what its fields hold, and without Buf's own
// fields.
func shallow(file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	result := new(descriptorpb.FileDescriptorProto)
	file.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		result.ProtoReflect().Set(field, value)
		return true
	})
	return result
}

// DescribesOnly reports whether a file only describes schemas or calls.
func DescribesOnly(file *descriptorpb.FileDescriptorProto) bool {
	return reserved.Package(file.GetPackage())
}

// Describes reports whether the messages of a package only describe schemas or
// calls.
func Describes(name protoreflect.FullName) bool { return reserved.Package(string(name)) }

// Ignored returns the sorted names of the top-level messages that are no event
// types because their package is reserved, and that nobody expects there: those
// of protobuf, protovalidate and this release's contract are left out.
func (i *Image) Ignored() (names []string) {
	for _, file := range i.files {
		if !DescribesOnly(file) || strings.HasPrefix(file.GetName(), "google/protobuf/") || strings.HasPrefix(file.GetName(), "buf/validate/") {
			continue
		}
		for _, message := range file.GetMessageType() {
			name := protoreflect.FullName(file.GetPackage() + "." + message.GetName())
			if _, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
				names = append(names, string(name))
			}
		}
	}
	slices.Sort(names)
	return names
}
