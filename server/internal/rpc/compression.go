package rpc

import (
	"compress/gzip"
	"errors"
	"io"

	"connectrpc.com/connect"
	_ "google.golang.org/grpc/encoding/gzip" // grpc-go has gzip only where it is imported.
)

// compressMinBytes is the size from which connect-go compresses an answer, for a
// client that takes it. grpc-go compresses each, for a client that compressed its
// request.
const compressMinBytes = 1024

// withCompression makes a handler take and give gzip. maxBytes is the size, in
// bytes, of the largest message that it reads.
func withCompression(maxBytes int) connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCompressMinBytes(compressMinBytes),
		connect.WithCompression("gzip",
			func() connect.Decompressor { return &boundedGzip{limit: int64(maxBytes) + 1} },
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }))
}

var errDecompressed = errors.New("it is larger than that when it is decompressed")

// boundedGzip decompresses no more than it may. connect-go reads one byte more
// than the limit, and then all the rest to say how much it was: a thousand times
// the size of the request.
type boundedGzip struct {
	gzip.Reader

	limit int64 // Bytes of one message.
	left  int64
}

func (z *boundedGzip) Reset(source io.Reader) error {
	z.left = z.limit
	return z.Reader.Reset(source)
}

func (z *boundedGzip) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, errDecompressed
	}
	n, err := z.Reader.Read(p[:min(int64(len(p)), z.left)])
	z.left -= int64(n)
	return n, err
}
