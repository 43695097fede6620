package schemarules

import (
	"regexp"
	"slices"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func stablePackageNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_STABLE_PACKAGE_NO_DELETE",
		"Checks that a package stays, unless its name says that it is unstable.",
		onChange(func(c change) error {
			present := make(map[protoreflect.FullName]bool)
			there := make(map[string]bool)
			for _, file := range c.is.all {
				present[file.Package()] = true
				there[file.Path()] = true
			}
			gone := make(map[protoreflect.FullName][]string)
			for _, file := range c.was.files {
				if name := file.Package(); !present[name] && isStable(name) {
					gone[name] = append(gone[name], file.Path())
				}
			}
			for name, paths := range gone {
				slices.Sort(paths)
				options := []check.AddAnnotationOption{
					check.WithMessagef("Package %q is gone, which was in %s. A stable package stays, for those who use it "+
						"and for the events that are stored.", name, strings.Join(paths, ", ")),
					check.WithAgainstFileName(paths[0]),
				}
				for _, path := range paths { // A file of it may be there still, with another package.
					if there[path] {
						options = append(options, check.WithFileNameAndSourcePath(path, protoreflect.SourcePath{packageNumber}))
						break
					}
				}
				c.AddAnnotation(options...)
			}
			return nil
		}))
}

// unstableVersion is the last part of the name of a package that promises nothing,
// as Buf's ignore_unstable_packages has it: v1beta1, v2alpha3, v1p1beta1, v1test.
var unstableVersion = regexp.MustCompile(`^v[1-9]\d*((p[1-9]\d*)?(alpha|beta)([1-9]\d*)?|test.*)$`)

// isStable reports whether a package has a name, and one that promises to stay.
func isStable(name protoreflect.FullName) bool {
	return name != "" && !unstableVersion.MatchString(string(name)[strings.LastIndex(string(name), ".")+1:])
}
