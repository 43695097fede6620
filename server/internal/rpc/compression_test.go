package rpc

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestBoundedGzip(t *testing.T) {
	const limit = 1000
	compressed := func(size int) io.Reader {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &out
	}
	z := &boundedGzip{limit: limit}
	// It is used again and again.
	for _, test := range []struct {
		size, want int
		err        error
	}{
		{size: 0, want: 0},
		{size: limit - 1, want: limit - 1},
		{size: limit << 10, want: limit, err: errDecompressed},
		{size: limit - 1, want: limit - 1},
	} {
		if err := z.Reset(compressed(test.size)); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, z)
		if n != int64(test.want) || !errors.Is(err, test.err) {
			t.Errorf("of %d bytes it gives %d and %v, want %d and %v", test.size, n, err, test.want, test.err)
		}
	}
	if err := z.Reset(strings.NewReader("not gzip")); err == nil {
		t.Error("what isn't gzip is taken")
	}
}
