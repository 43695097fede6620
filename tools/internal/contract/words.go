package contract

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Files returns the files of Tidings by package, in the order of their paths, without
// what they import of others.
func Files(files *protoregistry.Files) map[protoreflect.FullName][]protoreflect.FileDescriptor {
	found := make(map[protoreflect.FullName][]protoreflect.FileDescriptor)
	for file := range files.RangeFiles {
		if strings.HasPrefix(string(file.Package()), "tidings.") {
			found[file.Package()] = append(found[file.Package()], file)
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b protoreflect.FileDescriptor) int { return strings.Compare(a.Path(), b.Path()) })
	}
	return found
}

// The numbers of statements in google.protobuf.FileDescriptorProto.
const packageNumber = 2

// Comment returns the comment of an element, a paragraph each. Of a file it is that
// of its package. A paragraph that is set in, such as an example, keeps its lines.
func Comment(element protoreflect.Descriptor) []string {
	locations := element.ParentFile().SourceLocations()
	text := locations.ByDescriptor(element).LeadingComments
	if _, ok := element.(protoreflect.FileDescriptor); ok {
		text = locations.ByPath(protoreflect.SourcePath{packageNumber}).LeadingComments
	}
	var paragraphs []string
	for part := range strings.SplitSeq(text, "\n\n") {
		if part = strings.Trim(part, "\n"); part == "" {
			continue
		}
		if strings.HasPrefix(part, "     ") {
			paragraphs = append(paragraphs, strings.ReplaceAll(part, "\n ", "\n")[1:])
			continue
		}
		paragraphs = append(paragraphs, strings.Join(strings.Fields(part), " "))
	}
	return paragraphs
}

// IsExample reports whether a paragraph of a comment is set in.
func IsExample(paragraph string) bool { return strings.HasPrefix(paragraph, "    ") }
