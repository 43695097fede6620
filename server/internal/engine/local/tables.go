package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/guard"
)

// table is a file of keys, as it was found.
type table struct {
	name string
	// bad are the blocks whose checksums are wrong.
	bad []block.Handle
}

// errBadBlock says that a block isn't even to be tried: Pebble would look for the
// bit that was flipped, which takes a second.
var errBadBlock = errors.New("its checksum is wrong")

// checkTable checks every block of a table. It calls wrong with what is.
func checkTable(fs vfs.FS, dir, name string, options *pebble.Options, wrong func(place string, cause error)) (t table, usable bool, err error) {
	t.name = name
	place := "file " + name
	file, err := fs.Open(fs.PathJoin(dir, name))
	if err != nil {
		if !isContent(err) {
			return t, false, err
		}
		wrong(place, err)
		return t, false, nil
	}
	reader, err := openReader(file, options)
	if err != nil {
		wrong(place, err)
		return t, false, file.Close()
	}
	defer func() { _ = guard.Do(reader.Close) }() // Nothing was written.
	var layout *sstable.Layout
	if err := guard.Do(func() error { layout, err = reader.Layout(); return err }); err != nil {
		wrong(place, fmt.Errorf("its index can't be read: %w", err))
		return t, false, nil
	}
	for _, handle := range blocksOf(layout) {
		data := make([]byte, handle.Length+block.TrailerLen)
		if _, err := file.ReadAt(data, int64(handle.Offset)); err != nil {
			err = fmt.Errorf("it can't be read: %w", err)
			wrong(blockPlace(name, handle), err)
			t.bad = append(t.bad, handle)
			continue
		}
		if !isWhole(data) {
			wrong(blockPlace(name, handle), errBadBlock)
			t.bad = append(t.bad, handle)
		}
	}
	return t, true, nil
}

func blockPlace(name string, handle block.Handle) string {
	return fmt.Sprintf("file %s, bytes %d to %d", name, handle.Offset, handle.Offset+handle.Length+block.TrailerLen-1)
}

// blocksOf returns the blocks of a table.
func blocksOf(layout *sstable.Layout) []block.Handle {
	var handles []block.Handle
	for _, data := range layout.Data {
		handles = append(handles, data.Handle)
	}
	for _, filter := range layout.Filter {
		handles = append(handles, filter.Handle)
	}
	handles = slices.Concat(handles, layout.Index, layout.ValueBlock, []block.Handle{
		layout.TopIndex, layout.RangeDel, layout.RangeKey, layout.Properties, layout.MetaIndex,
	})
	return slices.DeleteFunc(handles, func(h block.Handle) bool { return h.Length == 0 })
}

// isWhole reports whether a block with its trailer has the checksum that it
// says, in the masked form that LevelDB gave it.
func isWhole(data []byte) bool {
	end := len(data) - 4
	sum := crc32.Checksum(data[:end], castagnoli)
	return (sum>>15|sum<<17)+0xa282ead8 == binary.LittleEndian.Uint32(data[end:])
}

// openReader opens a table. The reader closes the file.
func openReader(file sstable.ReadableFile, options *pebble.Options) (reader *sstable.Reader, err error) {
	err = guard.Do(func() error {
		readable, err := sstable.NewSimpleReadable(file)
		if err != nil {
			return err
		}
		reader, err = sstable.NewReader(context.Background(), readable, options.MakeReaderOptions())
		return err
	})
	return reader, err
}

// knownFile is a file of which it is known which blocks are bad.
type knownFile struct {
	vfs.File

	bad []block.Handle
}

// ReadAt implements io.ReaderAt.
func (f knownFile) ReadAt(p []byte, offset int64) (int, error) {
	for _, handle := range f.bad {
		if int64(handle.Offset) < offset+int64(len(p)) && offset < int64(handle.Offset+handle.Length) {
			return 0, errBadBlock
		}
	}
	return f.File.ReadAt(p, offset)
}

// tableNames returns the tables in a directory.
func tableNames(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".sst") })
	slices.Sort(names)
	return names, nil
}
