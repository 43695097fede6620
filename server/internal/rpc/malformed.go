package rpc

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"example.com/tidings/server/internal/service"
)

// refuseMalformed refuses what connect-go would call an error of unknown kind,
// though it is the client's: a query that isn't base64, and a body whose chunks
// aren't encoded as HTTP/1.1 has it.
func refuseMalformed(next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && ours(r.URL.Path):
			query := r.URL.Query()
			if query.Get("base64") == "1" && !isBase64(query.Get("message")) {
				_ = writer.Write(w, r, connectError(service.Malformed("message", "isn't base64 of the alphabet for URLs")))
				return
			}
		case r.ProtoMajor == 1 && slices.Contains(r.TransferEncoding, "chunked"):
			r.Body = chunks{r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

// isBase64 reports whether a text is base64 of the alphabet for URLs, padded or
// not.
func isBase64(text string) bool {
	encoding := base64.RawURLEncoding
	if strings.HasSuffix(text, "=") {
		encoding = base64.URLEncoding
	}
	_, err := encoding.DecodeString(text)
	return err == nil
}

// chunks is a body in chunks. An error of theirs is the client's; one of the
// connection isn't.
type chunks struct{ io.ReadCloser }

func (c chunks) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	_, ofConnection := errors.AsType[net.Error](err)
	if err == nil || ofConnection || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, http.ErrBodyReadAfterClose) {
		return n, err
	}
	return n, connectError(service.Malformed("", "the body: "+err.Error()))
}
