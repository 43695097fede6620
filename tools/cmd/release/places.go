package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"example.com/tidings/tools/internal/workspace"
)

const (
	versionFile    = "VERSION"
	imageDir       = "baseline/"
	imageExtension = ".binpb"
)

// sources are the places outside of documents that hold the version, each once.
// Packages in other languages take theirs from the file VERSION when they are
// built.
var sources = map[string]*regexp.Regexp{
	versionFile:                                      regexp.MustCompile(`^(\d+\.\d+\.\d+)\n$`),
	"server/internal/daemon/command.go":              regexp.MustCompile(`(?m)^const Version = "(\d+\.\d+\.\d+)"$`),
	"conformance/cmd/tidings-conformance/command.go": regexp.MustCompile(`(?m)^const Version = "(\d+\.\d+\.\d+)"$`),
	"docs/operations/kubernetes/kustomization.yaml":  regexp.MustCompile(`(?m)^ {4}newTag: (\d+\.\d+\.\d+)$`),
	"interop/rust/Cargo.lock":                        regexp.MustCompile(`(?m)^name = "example-tidings"\nversion = "(\d+\.\d+\.\d+)"$`),
}

// shown are the forms in which documents show the version of what they describe.
// The group is the version.
var shown = []*regexp.Regexp{
	regexp.MustCompile(`"version":"(\d+\.\d+\.\d+)"`),
	regexp.MustCompile(`\bversion=(\d+\.\d+\.\d+)\b`),
	regexp.MustCompile(`(?m)^version: +(\d+\.\d+\.\d+)$`),
	regexp.MustCompile(`(?m)^tidings (\d+\.\d+\.\d+) `),
	regexp.MustCompile(`\bbaseline/v(\d+\.\d+\.\d+)\.binpb\b`),
	regexp.MustCompile("`tidings version`, the Go module \\| `(\\d+\\.\\d+\\.\\d+)`"),
	regexp.MustCompile(`<tidings\.version>(\d+\.\d+\.\d+)</tidings\.version>`),
	regexp.MustCompile(`\bstate in (\d+\.\d+\.\d+)\b`),
}

// coming is how documents mark what no release has yet. The next one has it.
var coming = regexp.MustCompile(`\bsince \d+\.\d+\.\d+, not in a release yet\b`)

// lasting are the forms of a version that stays what it is: of a release that is
// past, and of what an adopter releases.
var lasting = regexp.MustCompile("\\b(?:since|until|from|a release \\(`)\\s*\\d+\\.\\d+\\.\\d+\\b" +
	`|(?:\bgit tag |\btag[:=] ?)v\d+\.\d+\.\d+\b`)

// texts returns the text files of the release with their new contents.
func (r releaser) texts() ([]content, error) {
	files, err := workspace.Files(r.root)
	if err != nil {
		return nil, err
	}
	var contents []content
	for _, name := range files {
		if name != changeLog && sources[name] == nil && !isDocument(name) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		text := string(data)
		switch {
		case name == changeLog:
			text, err = releaseEntry(text, r.version, r.day)
		case sources[name] != nil:
			text = setVersion(text, sources[name], r.version)
		default:
			text = releaseDocument(text, r.version)
		}
		if err != nil {
			return nil, err
		}
		if text != string(data) {
			contents = append(contents, content{name: name, data: []byte(text)})
		}
	}
	return contents, nil
}

// isDocument reports whether a file describes the project to people. The change
// log does too, but what it says of a release stays.
func isDocument(name string) bool {
	return path.Ext(name) == ".md" && name != changeLog && !inTestdata(name)
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(path.Dir(name), "/"), "testdata")
}

func releaseDocument(text, version string) string {
	text = coming.ReplaceAllString(text, "since "+version)
	for _, form := range shown {
		text = setVersion(text, form, version)
	}
	return text
}

// setVersion puts a version in the place of the group wherever a form matches.
func setVersion(text string, form *regexp.Regexp, version string) string {
	var out strings.Builder
	end := 0
	for _, match := range form.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(text[end:match[2]] + version)
		end = match[3]
	}
	return out.String() + text[end:]
}

// presentVersion is what the file VERSION says.
func presentVersion(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, versionFile))
	if err != nil {
		return "", err
	}
	match := sources[versionFile].FindStringSubmatch(string(data))
	if match == nil {
		return "", fmt.Errorf("%s holds %q, not a version", versionFile, data)
	}
	return match[1], nil
}

// agree fails with every place of a checkout that doesn't have the version that
// VERSION says: the change log, the newest image, the sources and the documents.
// It fails as well if the version stands anywhere in a form that isn't known,
// because a release would leave it behind.
func agree(root, version string) error {
	var problems []error
	if image, err := newestImage(root); err != nil {
		problems = append(problems, err)
	} else if want := imageName(version); image != want {
		problems = append(problems, fmt.Errorf("the newest image is %s, want %s", image, want))
	}
	files, err := workspace.Files(root)
	if err != nil {
		return err
	}
	for name := range sources {
		if !slices.Contains(files, name) {
			problems = append(problems, fmt.Errorf("%s, which holds the version, is gone", name))
		}
	}
	for _, name := range files {
		if !mayMention(name) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		for _, problem := range disagreements(name, string(data), version) {
			problems = append(problems, fmt.Errorf("%s: %s", name, problem))
		}
	}
	return errors.Join(problems...)
}

// newestImage returns the name of the image with the highest version.
func newestImage(root string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(imageDir), "v*"+imageExtension))
	if err != nil {
		return "", err
	}
	var newest string
	for _, path := range paths {
		tag := strings.TrimSuffix(filepath.Base(path), imageExtension)
		if newest == "" || semver.Compare(tag, newest) > 0 {
			newest = tag
		}
	}
	return imageDir + newest + imageExtension, nil
}

// dependencies are the files that hold the versions of others, which may happen to
// be the same.
var dependencies = []string{"go.mod", "go.sum", "package-lock.json", "requirements.in", "requirements.txt", "googleapis.txt", "Cargo.lock", "THIRD_PARTY_LICENSES.txt"}

// mayMention reports whether a file can hold the project's version. A
// waiver tells of the past, and tests have examples.
func mayMention(name string) bool {
	switch base := path.Base(name); {
	case base == "waivers.yaml", path.Ext(name) == imageExtension, strings.HasSuffix(base, "_test.go"):
		return false
	}
	return !strings.HasPrefix(name, "gen/") && !inTestdata(name)
}

// disagreements says what a file has another version in, and where it has the
// version in a form that isn't known.
func disagreements(name, text, version string) []string {
	if name == changeLog {
		if newest, err := newestEntry(text); err != nil {
			return []string{err.Error()}
		} else if newest != version {
			return []string{"the newest release is " + newest + ", want " + version}
		}
		return nil
	}
	var problems []string
	forms := shown
	if form := sources[name]; form != nil {
		forms = []*regexp.Regexp{form}
		if n := len(form.FindAllString(text, -1)); n != 1 {
			problems = append(problems, fmt.Sprintf("%d places hold the version, want 1: %s", n, form))
		}
	} else if !isDocument(name) {
		forms = nil
	}
	for _, form := range forms {
		for _, match := range form.FindAllStringSubmatch(text, -1) {
			if match[1] != version {
				problems = append(problems, fmt.Sprintf("%q, want %s", match[0], version))
			}
		}
		// What is known is taken out; what is left is not.
		text = form.ReplaceAllLiteralString(text, "")
	}
	// Few texts hold it at all, and the forms are costly to look for.
	if slices.Contains(dependencies, path.Base(name)) || !strings.Contains(text, version) {
		return problems
	}
	text = lasting.ReplaceAllLiteralString(text, "")
	mention := regexp.MustCompile(`(?:^|[^\w.@])v?` + regexp.QuoteMeta(version) + `(?:$|[^\w.]|\.\W)`)
	for line := range strings.Lines(text) {
		if mention.MatchString(line) {
			problems = append(problems, fmt.Sprintf("a release wouldn't know what to do with the version in %q; "+
				"tools/cmd/release/places.go lists the forms that it knows", strings.TrimSpace(line)))
		}
	}
	return problems
}
