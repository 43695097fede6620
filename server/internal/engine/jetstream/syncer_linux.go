package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// groupSync says that one system call flushes all files of a volume.
const groupSync = true

func syncVolume(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }
