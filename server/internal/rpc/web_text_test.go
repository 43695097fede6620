package rpc_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// webText makes the calls of a client of gRPC-Web in its text mode.
type webText struct{ http.RoundTripper }

const webTextType = "application/grpc-web-text"

func (w webText) RoundTrip(r *http.Request) (*http.Response, error) {
	codec, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc-web")
	if !ok {
		return nil, errors.New("not a call of gRPC-Web")
	}
	r = r.Clone(r.Context())
	r.Header.Set("Content-Type", webTextType+codec)
	r.Body, r.ContentLength, r.GetBody = &encodedBody{ReadCloser: r.Body}, -1, nil
	response, err := w.RoundTripper.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	if codec, ok = strings.CutPrefix(response.Header.Get("Content-Type"), webTextType); !ok {
		return nil, fmt.Errorf("the answer is %s", response.Header.Get("Content-Type"))
	}
	response.Header.Set("Content-Type", "application/grpc-web"+codec)
	response.Body = &decodedBody{ReadCloser: response.Body}
	return response, nil
}

// encodedBody encodes a body in pieces, as large as what is read at once.
type encodedBody struct {
	io.ReadCloser

	text []byte
}

func (b *encodedBody) Read(p []byte) (int, error) {
	if len(b.text) == 0 {
		piece := make([]byte, 1000)
		n, err := b.ReadCloser.Read(piece)
		b.text = base64.StdEncoding.AppendEncode(nil, piece[:n])
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// decodedBody decodes a body four bytes at a time.
type decodedBody struct {
	io.ReadCloser

	data []byte
}

func (b *decodedBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		var four [4]byte
		if _, err := io.ReadFull(b.ReadCloser, four[:]); err != nil {
			return 0, err
		}
		var err error
		if b.data, err = base64.StdEncoding.AppendDecode(nil, four[:]); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func TestWebTextBody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"one piece":           {"AAAAAAA=", "0"},
		"pieces":              {"AA==AAA=AAA=", "0"},
		"a piece of each":     {strings.Repeat("AA==", 5), "0"},
		"nothing":             {"", "12 unary request has zero messages"},
		"not base64":          {"&&&&", "3 the body isn't base64"},
		"padding alone":       {"====", "3 the body isn't base64"},
		"half a piece":        {"AAAAAAA", "3 the body isn't base64"},
		"the other alphabet":  {"__8=", "3 the body isn't base64"},
		"a second message":    {strings.Repeat("AAAA", 3<<20), "12 unary request has multiple messages"},
		"too much of it":      {"AH//" + strings.Repeat("////", 4<<20), "8 message is larger than configured max 4194304"},
		"a frame without end": {"AAAA", "13 protocol error: incomplete envelope: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, contentType := range []string{webTextType, webTextType + "+proto"} {
				status, header, decoded := postWebText(t, contentType, test.body)
				if got := webStatus(header, decoded); status != http.StatusOK || !strings.HasPrefix(got, test.want) {
					t.Errorf("%s: %d: %q, want %q", contentType, status, got, test.want)
				}
			}
		})
	}
	stillServes(t)
}

// webStatus is the status of a call and its message, in the header if there is
// no answer, and else at the end of it.
func webStatus(header http.Header, answer []byte) string {
	code, message := header.Get("Grpc-Status"), header.Get("Grpc-Message")
	for line := range strings.Lines(string(answer)) {
		if _, found, ok := strings.Cut(line, "grpc-status: "); ok {
			code = found
		}
	}
	return strings.TrimSpace(strings.TrimSpace(code) + " " + message)
}

func postWebText(t *testing.T, contentType, body string) (status int, header http.Header, answer []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+shared.httpAddr+listPath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := newHTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	answer, err = io.ReadAll(&decodedBody{ReadCloser: response.Body})
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, answer
}
