package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markName is the file beside the store that holds the mark.
const markName = "mark"

// A mark is a file beside the store that says which commit was acknowledged
// last. The store can't tell by itself: it takes a cut or damaged end of its log
// for the place where it stopped writing.
//
// The file has two slots, written in turns, so that one of them is whole
// whatever happens. It isn't synced with each commit: what it says was true
// before it was written, so an older one only notices less.
type mark struct {
	file vfs.File
	last markSlot
	buf  [markSlotBytes]byte
}

// markSlot is what a mark says.
type markSlot struct {
	// generation increases with every write: the slot with the higher one counts.
	generation uint64
	// commit is the number of the last commit that was acknowledged.
	commit uint64
	// written says that commits are acknowledged before the disk has them.
	written bool
	// restored says that the store comes from a backup, and hasn't been opened
	// since: what was stored after the backup is missing.
	restored bool
	// clean says that the store was closed, and all of it is on the disk.
	clean bool
	// boot is that of the machine: see bootID.
	boot string
}

const (
	markMagic     = "tidings1"
	markSlotBytes = 96
	// markSpacing keeps the slots in blocks of their own.
	markSpacing = 4096
	markBytes   = 2 * markSpacing

	markWritten  = 1
	markRestored = 2
	markClean    = 4
)

// errNoMark says that there is no mark that can be read.
var errNoMark = errors.New("there is none")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readMark reads a mark. damaged is what is wrong with one of its slots, or nil.
// It returns errNoMark where there is no file, and what is wrong where neither
// slot is whole.
func readMark(fs vfs.FS, path string) (last markSlot, damaged, err error) {
	file, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return markSlot{}, nil, errNoMark
	}
	if err != nil {
		return markSlot{}, nil, err
	}
	defer func() { _ = file.Close() }()
	data := make([]byte, markBytes)
	if n, err := io.ReadFull(file, data); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return markSlot{}, nil, err
	} else if n < len(data) {
		damaged = fmt.Errorf("it has %d bytes instead of %d", n, len(data))
	}
	if extra, err := file.Stat(); err != nil {
		return markSlot{}, nil, err
	} else if extra.Size() > markBytes {
		damaged = fmt.Errorf("it has %d bytes instead of %d", extra.Size(), markBytes)
	}
	whole := 0
	for i := range 2 {
		block := data[i*markSpacing : (i+1)*markSpacing]
		slot, err := parseMarkSlot(block)
		if err != nil {
			damaged = fmt.Errorf("slot %d: %w", i, err)
			continue
		}
		whole++
		if slot.generation > last.generation {
			last = slot
		}
	}
	if whole == 0 {
		return markSlot{}, nil, damaged
	}
	return last, damaged, nil
}

// createMark writes a mark in the place of one that there may be. It is on the
// disk when it returns.
func createMark(fs vfs.FS, dir string, slot markSlot) (_ *mark, err error) {
	path := fs.PathJoin(dir, markName)
	temporary := path + ".new"
	slot.generation = 1
	m := &mark{last: slot}
	if m.file, err = fs.Create(temporary, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	data := make([]byte, markBytes)
	for range 2 {
		m.last.generation++
		copy(data[m.last.offset():], m.last.append(nil))
	}
	_, err = m.file.Write(data)
	if err == nil {
		err = m.file.Sync()
	}
	if err := errors.Join(err, m.file.Close()); err != nil {
		return nil, err
	}
	if err := fs.Rename(temporary, path); err != nil {
		return nil, err
	}
	if err := syncDir(fs, dir); err != nil {
		return nil, err
	}
	return openMark(fs, path, m.last)
}

// openMark opens a mark that says last to write it.
func openMark(fs vfs.FS, path string, last markSlot) (*mark, error) {
	file, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &mark{file: file, last: last}, nil
}

// set writes which commit was acknowledged last. It is for one goroutine.
func (m *mark) set(commit uint64) error {
	m.last.commit = commit
	m.last.generation++
	_, err := m.file.WriteAt(m.last.append(m.buf[:0]), int64(m.last.offset()))
	return err
}

// current says that the store isn't of an earlier time any more. It is on the
// disk when it returns.
func (m *mark) current() error {
	m.last.restored = false
	return errors.Join(m.set(m.last.commit), m.file.Sync())
}

// close closes the mark. clean says that the store is closed, and all of it on
// the disk.
func (m *mark) close(clean bool) error {
	var err error
	if clean {
		m.last.clean = true
		if err = m.set(m.last.commit); err == nil {
			err = m.file.Sync()
		}
	}
	return errors.Join(err, m.file.Close())
}

// offset is where the slot belongs in the file.
func (s markSlot) offset() int { return int(s.generation%2) * markSpacing }

// append appends the slot to b, in markSlotBytes.
func (s markSlot) append(b []byte) []byte {
	start := len(b)
	b = append(b, markMagic...)
	b = binary.BigEndian.AppendUint64(b, s.generation)
	b = binary.BigEndian.AppendUint64(b, s.commit)
	var flags byte
	if s.written {
		flags |= markWritten
	}
	if s.restored {
		flags |= markRestored
	}
	if s.clean {
		flags |= markClean
	}
	b = append(b, flags)
	var boot [markSlotBytes - 8 - 8 - 8 - 1 - 4]byte
	copy(boot[:], s.boot)
	b = append(b, boot[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseMarkSlot parses a slot, and the zeros that follow it.
func parseMarkSlot(block []byte) (markSlot, error) {
	data, rest := block[:markSlotBytes], block[markSlotBytes:]
	sum := binary.BigEndian.Uint32(data[markSlotBytes-4:])
	switch {
	case string(data[:8]) != markMagic:
		return markSlot{}, errors.New("it isn't one")
	case crc32.Checksum(data[:markSlotBytes-4], castagnoli) != sum:
		return markSlot{}, errors.New("its checksum is wrong")
	case len(bytes.Trim(rest, "\x00")) > 0:
		return markSlot{}, errors.New("something follows it")
	}
	return markSlot{
		generation: binary.BigEndian.Uint64(data[8:]),
		commit:     binary.BigEndian.Uint64(data[16:]),
		written:    data[24]&markWritten != 0,
		restored:   data[24]&markRestored != 0,
		clean:      data[24]&markClean != 0,
		boot:       string(bytes.TrimRight(data[25:markSlotBytes-4], "\x00")),
	}, nil
}

// syncDir writes to the disk which files a directory has.
func syncDir(fs vfs.FS, path string) error {
	dir, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// bootID is what the machine's memory began with: with another one, all that
// wasn't on the disk is gone. Empty where the system doesn't say.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
