package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/tidings/tools/internal/changelog"
)

// A Release is one whose image the checkout has.
type Release struct {
	Name  string // That of its tag, such as v1.2.3.
	Image string // The path of its image.
	// Kept says that nothing has broken the contract since, by the change log, so
	// that what it wrote has to stay readable.
	Kept bool
}

// Releases returns the releases of a checkout in the order of their names.
func Releases(root string) ([]Release, error) {
	log, err := os.ReadFile(filepath.Join(root, changelog.File))
	if err != nil {
		return nil, err
	}
	entries := changelog.Entries(string(log))
	images, err := filepath.Glob(filepath.Join(root, "baseline", "v*.binpb"))
	if err != nil {
		return nil, err
	}
	releases := make([]Release, len(images))
	for i, image := range images {
		name := strings.TrimSuffix(filepath.Base(image), ".binpb")
		// The entries are the newest first.
		at := slices.IndexFunc(entries, func(e changelog.Entry) bool { return "v"+e.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("%s tells nothing of release %s", changelog.File, name)
		}
		broken := slices.ContainsFunc(entries[:at], changelog.Entry.Breaks)
		releases[i] = Release{Name: name, Image: image, Kept: !broken}
	}
	return releases, nil
}
