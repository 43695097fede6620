// Package cases holds the cases of the suite, as data.
package cases

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml exempt/reasons.yaml
var files embed.FS

// Files returns the files of cases.
func Files() fs.FS { return files }

// Exempt is the file that lists what no case can provoke.
const Exempt = "exempt/reasons.yaml"
