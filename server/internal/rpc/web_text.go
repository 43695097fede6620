package rpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"

	"example.com/tidings/server/internal/service"
)

// The content types of gRPC-Web, before what says the codec. connect-go knows
// the first.
const (
	webType     = "application/grpc-web"
	webTextType = "application/grpc-web-text"
)

// withWebText adds gRPC-Web's text mode, which Google's client for browsers asks
// for unless it is told not to: the same in base64. What is sent at once is padded
// at its end, and another piece follows.
func withWebText(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		codec, ok := strings.CutPrefix(r.Header.Get("Content-Type"), webTextType)
		if !ok || codec != "" && codec[0] != '+' {
			next.ServeHTTP(w, r)
			return
		}
		r.Header.Set("Content-Type", webType+codec)
		r.Body = &webTextBody{ReadCloser: r.Body}
		if r.ContentLength > 0 {
			r.ContentLength = -1 // Depends on the padding.
		}
		text := &webTextWriter{ResponseWriter: w}
		next.ServeHTTP(text, r)
		text.pad()
	})
}

// webTextBody decodes a body.
type webTextBody struct {
	io.ReadCloser

	text    [4096]byte
	held    int // Bytes of text that don't make four yet.
	decoded [4096 / 4 * 3]byte
	unread  []byte // Of decoded.
	err     error  // What follows it.
}

func (b *webTextBody) Read(p []byte) (int, error) {
	for len(b.unread) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		var n int
		n, b.err = b.ReadCloser.Read(b.text[b.held:])
		n += b.held
		b.held = n % 4
		var ok bool
		if b.unread, ok = decodePieces(b.decoded[:], b.text[:n-b.held]); !ok || errors.Is(b.err, io.EOF) && b.held > 0 {
			b.err = connectError(service.Malformed("", "the body isn't base64"))
		}
		copy(b.text[:], b.text[n-b.held:n])
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}

// decodePieces decodes pieces of base64 that follow one another, each padded.
func decodePieces(decoded, text []byte) (_ []byte, ok bool) {
	n := 0
	for len(text) > 0 {
		piece := text
		if padding := bytes.IndexByte(text, '='); padding >= 0 {
			piece = text[:min(padding/4*4+4, len(text))]
		}
		m, err := base64.StdEncoding.Decode(decoded[n:], piece)
		n += m
		if err != nil {
			return decoded[:n], false
		}
		text = text[len(piece):]
	}
	return decoded[:n], true
}

// webTextWriter encodes an answer, if it is one of gRPC-Web.
type webTextWriter struct {
	http.ResponseWriter

	began bool
	text  bool
	piece io.WriteCloser // nil between pieces.
}

func (w *webTextWriter) WriteHeader(status int) {
	w.began = true
	if codec, ok := strings.CutPrefix(w.Header().Get("Content-Type"), webType); ok {
		w.text = true
		w.Header().Set("Content-Type", webTextType+codec)
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *webTextWriter) Write(data []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	if !w.text {
		return w.ResponseWriter.Write(data)
	}
	if w.piece == nil {
		w.piece = base64.NewEncoder(base64.StdEncoding, w.ResponseWriter)
	}
	return w.piece.Write(data)
}

// pad ends a piece.
func (w *webTextWriter) pad() {
	if w.piece != nil {
		_ = w.piece.Close() // The connection may be gone.
		w.piece = nil
	}
}

// Flush is what connect-go looks for.
func (w *webTextWriter) Flush() {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	w.pad()
	_ = http.NewResponseController(w.ResponseWriter).Flush() // The connection may be gone.
}

// Unwrap is what http.ResponseController looks for.
func (w *webTextWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
