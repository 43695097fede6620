package local

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func mountVolume(dir string, size int) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
}
