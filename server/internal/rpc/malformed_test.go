package rpc_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// sendRaw sends a text over HTTP/1.1 and returns the body of the response.
func sendRaw(t *testing.T, text string) (status int, body []byte) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", shared.httpAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // Nothing more is written.
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // It is only read.
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// What the client spoils on the way isn't of unknown kind, and isn't the server's.
func TestMalformedHTTP(t *testing.T) {
	t.Parallel()
	get := func(query string) string {
		return "GET " + getPath + "?connect=v1&encoding=json&" + query + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
	}
	post := func(path, contentType, headers, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: " + contentType + "\r\n" + headers + "\r\n" + body
	}
	malformed := because(codes.InvalidArgument, "REQUEST_MALFORMED")
	for name, test := range map[string]struct {
		text string
		want refusal
	}{
		"not base64":        {get("base64=1&message=!!!"), malformed.at("message")},
		"standard base64":   {get("base64=1&message=e30%2B%2F"), malformed.at("message")},
		"padded":            {get("base64=1&message=e30%3D"), because(codes.InvalidArgument, "REQUEST_INVALID").at("name")},
		"not padded":        {get("base64=1&message=e30"), because(codes.InvalidArgument, "REQUEST_INVALID").at("name")},
		"not compressed":    {get("base64=1&compression=gzip&message=e30"), because(codes.InvalidArgument, "")},
		"length of a chunk": {post(getPath, "application/json", "Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), malformed},
		"end of a chunk":    {post(getPath, "application/json", "Transfer-Encoding: chunked\r\n", "2\r\n{}zz0\r\n\r\n"), malformed},
		"a timeout":         {post(getPath, "application/json", "Connect-Timeout-Ms: abc\r\nContent-Length: 2\r\n", "{}"), because(codes.InvalidArgument, "")},
		"compression":       {post(getPath, "application/json", "Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), because(codes.InvalidArgument, "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := sendRaw(t, test.text)
			compareRefusals(t, postFailure(t, answer), test.want, string(answer))
			if status != http.StatusBadRequest {
				t.Errorf("status %d", status)
			}
			stillServes(t)
		})
	}
	read := "/tidings.v1.ReaderService/Read"
	for name, body := range map[string]string{
		"nothing":            "",
		"half a prefix":      "\x00\x00\x00",
		"half a message":     "\x00\x00\x00\x00\x09ab",
		"unknown flags":      "\x70\x00\x00\x00\x00",
		"not compressed":     "\x01\x00\x00\x00\x02{}",
		"flag of a response": "\x02\x00\x00\x00\x00",
	} {
		t.Run("stream/"+name, func(t *testing.T) {
			t.Parallel()
			_, answer := sendRaw(t, post(read, "application/connect+json", fmt.Sprintf("Content-Length: %d\r\n", len(body)), body))
			var end struct {
				Error json.RawMessage `json:"error"`
			}
			if err := json.Unmarshal(answer[5:], &end); err != nil {
				t.Fatal(err)
			}
			compareRefusals(t, postFailure(t, end.Error), malformed, string(answer))
			stillServes(t)
		})
	}
	t.Run("stream/chunks", func(t *testing.T) {
		t.Parallel()
		_, answer := sendRaw(t, post(importPath, "application/connect+json", "Transfer-Encoding: chunked\r\n", "5\r\n\x00\x00\x00\x00\x09\r\nzz\r\n"))
		if !bytes.Contains(answer, []byte("invalid_argument")) || !bytes.Contains(answer, []byte("REQUEST_MALFORMED")) {
			t.Errorf("%q", answer)
		}
	})
	if strings.Contains(shared.log.String(), "internal error") {
		t.Errorf("the server found itself at fault:\n%s", shared.log.String())
	}
}

// Text that isn't UTF-8 is the client's mistake over every protocol, and the error
// about it is UTF-8.
func TestJSONThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"name":"` + "\xff" + `"}`, `{"na` + "\xff" + `me":""}`, "\xff\xfe"} {
		framed := append([]byte{0, 0, 0, 0, byte(len(body))}, body...)
		for _, contentType := range []string{"application/grpc+json", "application/grpc-web+json"} {
			got := overGRPC(t, shared.httpAddr, getPath, contentType, framed)
			if codes.Code(got.GetCode()) != codes.InvalidArgument || !strings.Contains(got.String(), "REQUEST_MALFORMED") {
				t.Errorf("%s, %q: %v", contentType, body, got)
			}
		}
		_, answer := post(t, getPath, "application/json", strings.NewReader(body), int64(len(body)))
		if got := postFailure(t, answer); got.Reason != "REQUEST_MALFORMED" {
			t.Errorf("%q: %s", body, answer)
		}
	}
}
