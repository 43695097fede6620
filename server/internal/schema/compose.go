package schema

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// Overlay returns an image in which what another one declares takes the place
// of what this one declares under the same names, in whichever files that is.
// What only describes is the exception: there this image's declarations stay.
//
// A file whose declarations have all moved falls away, and whoever imports it
// imports the files that have them now.
func (i *Image) Overlay(newer *Image) *Image {
	return compose([]*Image{i, newer}, []*Image{newer, i})
}

// Succeeding returns an image with all of this one, and with what an older one
// declares besides.
func (i *Image) Succeeding(older *Image) *Image {
	images := []*Image{i, older}
	return compose(images, images)
}

// compose puts images into one: what only describes of some, and the rest of
// others. Of what several of them declare, that of the first counts.
func compose(describing, own []*Image) *Image {
	c := &composition{result: newImage(0), owners: make(map[string]string), heirs: make(map[string][]string)}
	for _, image := range describing {
		c.take(image, DescribesOnly)
	}
	for _, image := range own {
		c.take(image, func(file *descriptorpb.FileDescriptorProto) bool { return !DescribesOnly(file) })
	}
	c.follow()
	return c.result
}

// composition is an image in the making.
type composition struct {
	result *Image
	owners map[string]string   // The file that declares something, by its name.
	heirs  map[string][]string // The files that declare what a file did before.
}

// take adds the files of an image that a function chooses.
func (c *composition) take(image *Image, chosen func(*descriptorpb.FileDescriptorProto) bool) {
	var taken []*descriptorpb.FileDescriptorProto
	for _, file := range image.files {
		if !chosen(file) {
			continue
		}
		moved := make(map[string]bool)
		onlyTopics := true // They are no reason for an import, or for a file to go.
		for _, name := range declared(file) {
			owner, ok := c.owners[name]
			if !ok || owner == file.GetName() {
				continue
			}
			moved[name] = true
			if strings.HasPrefix(name, topicPrefix) {
				continue
			}
			onlyTopics = false
			if !slices.Contains(c.heirs[file.GetName()], owner) {
				c.heirs[file.GetName()] = append(c.heirs[file.GetName()], owner)
			}
		}
		if _, ok := c.result.byName[file.GetName()]; ok {
			continue
		}
		if len(moved) > 0 {
			if DescribesOnly(file) {
				continue // Another release of what is there, which has it in other files.
			}
			if file = without(file, moved); len(declared(file)) == 0 && !onlyTopics {
				continue
			}
		}
		taken = append(taken, file)
	}
	// Within an image everything is declared once.
	for _, file := range taken {
		c.result.add(file)
		for _, name := range declared(file) {
			c.owners[name] = file.GetName()
		}
	}
}

// follow makes the files import those that have what was moved.
func (c *composition) follow() {
	if len(c.heirs) == 0 {
		return
	}
	for at, file := range c.result.files {
		if len(c.heirs[file.GetName()]) == 0 && !slices.ContainsFunc(file.GetDependency(), func(path string) bool { return len(c.heirs[path]) > 0 }) {
			continue
		}
		file = shallow(file)
		imports := new(descriptorpb.FileDescriptorProto)
		add := func(path string, public bool) {
			_, ok := c.result.byName[path]
			if !ok || path == file.GetName() || slices.Contains(imports.GetDependency(), path) {
				return
			}
			if public {
				imports.PublicDependency = append(imports.PublicDependency, int32(len(imports.GetDependency())))
			}
			imports.Dependency = append(imports.Dependency, path)
		}
		for n, path := range file.GetDependency() {
			public := slices.Contains(file.GetPublicDependency(), int32(n))
			add(path, public)
			for _, heir := range c.heirs[path] {
				add(heir, public)
			}
		}
		for _, heir := range c.heirs[file.GetName()] {
			add(heir, false)
		}
		file.Dependency, file.PublicDependency, file.WeakDependency = imports.GetDependency(), imports.GetPublicDependency(), nil
		c.result.files[at], c.result.byName[file.GetName()] = file, file
	}
}

// topicPrefix begins what declared returns of a topic.
const topicPrefix = "the topic "

// declared returns what a file declares outside of messages: full names, the
// numbers that it extends messages with, and topics.
func declared(file *descriptorpb.FileDescriptorProto) []string {
	var names []string
	prefix := ""
	if file.GetPackage() != "" {
		prefix = file.GetPackage() + "."
	}
	for _, message := range file.GetMessageType() {
		names = append(names, prefix+message.GetName())
	}
	for _, enum := range file.GetEnumType() {
		names = append(names, prefix+enum.GetName())
	}
	for _, service := range file.GetService() {
		names = append(names, prefix+service.GetName())
	}
	for _, extension := range file.GetExtension() {
		names = append(names, prefix+extension.GetName(), extended(extension))
	}
	for _, topic := range topicOptions(file.GetOptions()) {
		names = append(names, topicPrefix+topic.GetName())
	}
	return names
}

func extended(extension *descriptorpb.FieldDescriptorProto) string {
	return fmt.Sprintf("%s number %d", extension.GetExtendee(), extension.GetNumber())
}

// without returns a file that lacks some of its declarations.
func without(file *descriptorpb.FileDescriptorProto, moved map[string]bool) *descriptorpb.FileDescriptorProto {
	const messages, enums, services, extensions = 4, 5, 6, 7 // Their fields in a file.
	prefix := ""
	if file.GetPackage() != "" {
		prefix = file.GetPackage() + "."
	}
	result := shallow(file)
	stay := make(map[[2]int32]int32) // Indices after the change, by field and index before.
	result.MessageType = rest(file.GetMessageType(), messages, stay, func(m *descriptorpb.DescriptorProto) bool { return moved[prefix+m.GetName()] })
	result.EnumType = rest(file.GetEnumType(), enums, stay, func(e *descriptorpb.EnumDescriptorProto) bool { return moved[prefix+e.GetName()] })
	result.Service = rest(file.GetService(), services, stay, func(s *descriptorpb.ServiceDescriptorProto) bool { return moved[prefix+s.GetName()] })
	result.Extension = rest(file.GetExtension(), extensions, stay, func(e *descriptorpb.FieldDescriptorProto) bool {
		return moved[prefix+e.GetName()] || moved[extended(e)]
	})
	result.Options = withoutTopics(file.GetOptions(), moved)
	result.SourceCodeInfo = new(descriptorpb.SourceCodeInfo)
	for _, location := range file.GetSourceCodeInfo().GetLocation() {
		if path := location.GetPath(); len(path) > 1 && path[0] >= messages && path[0] <= extensions {
			index, ok := stay[[2]int32{path[0], path[1]}]
			if !ok {
				continue
			}
			if index != path[1] {
				location = proto.CloneOf(location)
				location.Path[1] = index
			}
		}
		result.SourceCodeInfo.Location = append(result.SourceCodeInfo.Location, location)
	}
	return result
}

// withoutTopics returns the options of a file without some of its topics.
func withoutTopics(options *descriptorpb.FileOptions, moved map[string]bool) *descriptorpb.FileOptions {
	topics := topicOptions(options)
	left := slices.DeleteFunc(slices.Clone(topics), func(topic *optionsv1.TopicOptions) bool { return moved[topicPrefix+topic.GetName()] })
	if len(left) == len(topics) {
		return options
	}
	options = proto.CloneOf(options)
	proto.SetExtension(options, optionsv1.E_Topic, left)
	return options
}

// rest returns what is left of a list, and notes where.
func rest[T any](list []T, field int32, stay map[[2]int32]int32, gone func(T) bool) []T {
	var left []T
	for index, one := range list {
		if !gone(one) {
			stay[[2]int32{field, int32(index)}] = int32(len(left))
			left = append(left, one)
		}
	}
	return left
}
