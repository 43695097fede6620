// Package names knows what the project is called in the registries and languages
// that it is published in. All of these names follow from the path of the Go module,
// so that whoever adopts the project chooses one.
package names

import (
	"slices"
	"strings"
)

// Names are what a project with one module path is called.
type Names struct {
	// Module is the path of the root Go module: git.example.org/acme/events.
	Module string
	// Organisation is whose it is, where a name has to say so: acme. It is the
	// element of the path before the last, or, where the path has no other, the host
	// without its last label.
	Organisation string
	// Java is what all Java packages begin with, and the group of the Maven
	// artifacts: org.example.git.acme. It is the host from its end on, and the path
	// without its last element.
	Java string
}

// Of returns the names that follow from a module path.
func Of(path string) Names {
	elements := strings.Split(path, "/")
	labels := strings.Split(elements[0], ".")
	between := elements[1:max(1, len(elements)-1)]

	organisation := strings.Join(labels[:max(1, len(labels)-1)], "-")
	if len(between) > 0 {
		organisation = between[len(between)-1]
	}
	slices.Reverse(labels)
	java := slices.Concat(labels, between)
	for i, element := range java {
		java[i] = javaIdentifier(element)
	}
	return Names{Module: path, Organisation: word(organisation), Java: strings.Join(java, ".")}
}

// JavaDirectory is where the sources of the Java packages lie: org/example/git/acme.
func (n Names) JavaDirectory() string { return strings.ReplaceAll(n.Java, ".", "/") }

// NPM is the name of the npm package: @acme/tidings.
func (n Names) NPM() string { return "@" + n.Organisation + "/tidings" }

// Package is the name where there is one list of names for all: acme-tidings, on
// PyPI and crates.io. npm's archives have it too.
func (n Names) Package() string { return n.Organisation + "-tidings" }

// Identifier is Package as an identifier: acme_tidings, in Rust's paths and in the
// names of wheels.
func (n Names) Identifier() string { return strings.ReplaceAll(n.Package(), "-", "_") }

// Buf is the name of the Buf module, in a registry that nobody else can have:
// buf.example.org/acme/tidings.
func (n Names) Buf() string {
	host, _, _ := strings.Cut(n.Module, "/")
	if labels := strings.Split(host, "."); len(labels) > 2 {
		host = strings.Join(labels[1:], ".")
	}
	return "buf." + host + "/" + n.Organisation + "/tidings"
}

// word puts a name into the form that every registry takes: lower-case letters,
// digits and single hyphens, a letter first.
func word(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	word := strings.Join(parts, "-")
	if word == "" || word[0] < 'a' {
		word = strings.TrimSuffix("org-"+word, "-")
	}
	return word
}

// javaIdentifier makes an element of a Java package of an element of a path, as the
// language's specification advises.
func javaIdentifier(element string) string {
	element = strings.Map(func(r rune) rune {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return '_'
		}
		return r
	}, strings.ToLower(element))
	switch {
	case slices.Contains(keywords, element):
		return element + "_"
	case element[0] >= '0' && element[0] <= '9':
		return "_" + element
	}
	return element
}

// keywords are the words that are no identifiers in Java, Kotlin or Scala.
var keywords = strings.Fields(`_ abstract as assert boolean break byte case catch char class const continue def default do
	double else enum export extends false final finally float for forsome fun given goto if implements implicit import in
	instanceof int interface is lazy long match native new null object override package private protected public return
	sealed short static strictfp super switch synchronized then this throw throws trait transient true try type typealias
	typeof val var void volatile when while with yield`)
