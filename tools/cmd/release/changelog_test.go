package main

import "testing"

func TestReleaseEntry(t *testing.T) {
	const older = "## [0.1.0] - 2030-01-01\n\n- First.\n"
	for name, test := range map[string]struct{ log, want string }{
		"something new": {
			"# Changes\n\n## [Unreleased]\n\n### Added\n\n- A.\n\n" + older,
			"# Changes\n\n## [Unreleased]\n\n## [0.2.0] - 2030-03-01\n\n### Added\n\n- A.\n\n" + older,
		},
		"the first":      {"## [Unreleased]\n\n- A.\n", "## [Unreleased]\n\n## [0.2.0] - 2030-03-01\n\n- A.\n"},
		"nothing":        {"## [Unreleased]\n\n" + older, ""},
		"only headings":  {"## [Unreleased]\n\n### Added\n\n" + older, ""},
		"no such entry":  {older, ""},
		"nothing at all": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := releaseEntry(test.log, "0.2.0", "2030-03-01")
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
