//go:build !linux

package engine

import (
	"errors"
	"os"
)

// groupSync says that there is no system call to flush all files of a volume:
// JetStream flushes each append instead.
const groupSync = false

func syncVolume(*os.File) error { return errors.ErrUnsupported }
