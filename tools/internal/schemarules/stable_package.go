package schemarules

import (
	"regexp"
	"strings"

	"buf.build/go/bufplugin/check"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func stablePackageNoDelete() *check.RuleSpec {
	return breaking("TIDINGS_STABLE_PACKAGE_NO_DELETE",
		"Checks that a package stays, unless its name says that it is unstable.",
		onChange(func(c change) error {
			present := make(map[protoreflect.FullName]bool)
			for _, file := range c.is.all {
				present[file.Package()] = true
			}
			for _, file := range c.was.files {
				if name := file.Package(); !present[name] && isStable(name) {
					present[name] = true // It is reported once.
					c.AddAnnotation(
						check.WithMessagef("Package %q is gone. A stable package stays, for those who use it "+
							"and for the events that are stored.", name),
						check.WithAgainstDescriptor(file),
					)
				}
			}
			return nil
		}))
}

// unstableVersion is the last part of the name of a package that promises
// nothing: v1beta1, v2alpha3.
var unstableVersion = regexp.MustCompile(`^v[1-9]\d*(alpha|beta)\d*$`)

func isStable(name protoreflect.FullName) bool {
	return !unstableVersion.MatchString(string(name)[strings.LastIndex(string(name), ".")+1:])
}
