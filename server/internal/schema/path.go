package schema

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/descriptorpb"
)

// checkPaths returns an error where a file has a name that no compiler gives, or
// marks an import that it doesn't have. Whoever compares schemas stumbles over it.
func checkPaths(file *descriptorpb.FileDescriptorProto) error {
	for _, name := range append([]string{file.GetName()}, file.GetDependency()...) {
		if !isPath(name) {
			return fmt.Errorf("%q is not the name of a file: a path that is relative, has no . or .. in it and ends in .proto", name)
		}
	}
	for _, marks := range [][]int32{file.GetPublicDependency(), file.GetWeakDependency()} {
		for _, mark := range marks {
			if mark < 0 || int(mark) >= len(file.GetDependency()) {
				return fmt.Errorf("%s marks import %d, and has %d", file.GetName(), mark, len(file.GetDependency()))
			}
		}
	}
	return nil
}

func isPath(name string) bool {
	return utf8.ValidString(name) && path.Clean(name) == name && strings.HasSuffix(name, ".proto") &&
		!strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "../") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}
