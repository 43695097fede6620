//go:build !linux

package local

import "errors"

func mountVolume(string, int) error { return errors.ErrUnsupported }
