package rpc_test

import (
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"example.com/tidings/server/internal/rpc"
)

const (
	listed   = "https://app.example.com"
	unlisted = "https://evil.example"
)

// emptyFrame is a request without fields, as gRPC-Web and the streams of Connect frame it.
const emptyFrame = "\x00\x00\x00\x00\x00"

// browserCalls are what pages send: a path, a content type and headers of its own that
// the browser asks the server about first.
var browserCalls = map[string]struct {
	method, path, contentType, body string
	headers                         []string
}{
	"Connect in JSON":     {http.MethodPost, listPath, "application/json", "{}", []string{"authorization", "connect-protocol-version", "connect-timeout-ms", "content-type"}},
	"Connect in protobuf": {http.MethodPost, listPath, "application/proto", "", []string{"authorization", "connect-protocol-version", "content-type"}},
	"a stream of Connect": {http.MethodPost, "/tidings.v1.ReaderService/Read", "application/connect+proto", emptyFrame, []string{"authorization", "content-type", "traceparent"}},
	"gRPC-Web":            {http.MethodPost, listPath, "application/grpc-web+proto", emptyFrame, []string{"authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"}},
	"gRPC-Web in text":    {http.MethodPost, listPath, "application/grpc-web-text", base64.StdEncoding.EncodeToString([]byte(emptyFrame)), []string{"authorization", "content-type", "x-grpc-web"}},
	"Connect with GET":    {http.MethodGet, listPath + "?connect=v1&encoding=json&message=%7B%7D", "", "", []string{"authorization"}},
}

// answer is what a request is answered with.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request.
func call(t *testing.T, http2 bool, request *http.Request) answer {
	t.Helper()
	response, err := newHTTPClient(t, http2).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// failed reports whether a call ended with a code, by its name in Connect and its number
// in gRPC.
func (a answer) failed(name, number string) bool {
	return a.header.Get("Grpc-Status") == number || strings.Contains(a.body, `"`+name+`"`)
}

func newRequest(t *testing.T, method, url, body string, header map[string]string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if host := header["Host"]; host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	return request
}

// page is a browser with somebody's page, which makes one of browserCalls.
type page struct {
	t     *testing.T
	url   string // Of the server.
	http2 bool

	method, path, contentType string
	headers                   []string
	body                      string
}

// preflight asks as the browser does before it calls.
func (p *page) preflight(origin, host string) answer {
	p.t.Helper()
	return call(p.t, p.http2, newRequest(p.t, http.MethodOptions, p.url+p.path, "", map[string]string{
		"Origin": origin, "Host": host, "Access-Control-Request-Method": p.method,
		"Access-Control-Request-Headers": strings.Join(p.headers, ","),
	}))
}

func (p *page) call(origin, host, credential string) answer {
	p.t.Helper()
	return call(p.t, p.http2, newRequest(p.t, p.method, p.url+p.path, p.body, map[string]string{
		"Origin": origin, "Host": host, "Sec-Fetch-Site": "cross-site",
		"Content-Type": p.contentType, "Authorization": credential,
	}))
}

// TestCORS sends what a browser sends for a page: its preflight, and then the call.
func TestCORS(t *testing.T) {
	t.Parallel()
	a := newAccessPlace(t)
	s := newHandlerServer(t, func(c *rpc.Config) {
		c.Service, c.Health, c.CheckHost, c.Origins = a.server.service, a.server.health, true, []string{listed, "http://localhost:3000"}
		c.Access = a.server.access
	})
	for name, of := range browserCalls {
		for _, http2 := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				p := &page{t: t, url: s.URL, http2: http2, method: of.method, path: of.path, contentType: of.contentType, headers: of.headers, body: of.body}
				for _, origin := range []string{listed, "http://localhost:3000"} {
					p.wantListed(origin, a.roles["admin"])
				}
				for what, from := range map[string]struct{ origin, host string }{
					"an origin that isn't listed":                        {unlisted, ""},
					"one without a name":                                 {"null", ""},
					"the listed one over HTTP":                           {"http://app.example.com", ""},
					"the listed one at another port":                     {listed + ":8443", ""},
					"one whose name ends as the listed":                  {"https://evil-app.example.com", ""},
					"one whose name begins as the listed":                {listed + ".evil.example", ""},
					"a name that was made to mean the server":            {"http://evil.example:7070", "evil.example:7070"},
					"the listed one, by a name that was made to mean it": {listed, "evil.example:7070"},
					"the same origin by a name that was made to mean it": {"http://app.example.com:7070", "app.example.com:7070"},
				} {
					wantForeign(t, "the preflight of "+what, p.preflight(from.origin, from.host))
					got := p.call(from.origin, from.host, a.roles["admin"])
					wantForeign(t, what, got)
					// What has no effect may be done, and can't be read.
					if refused := got.status == http.StatusForbidden || got.failed("permission_denied", "7"); !refused && (p.method != http.MethodGet || from.host != "") {
						t.Errorf("%s: %+v", what, got)
					}
				}
			})
		}
	}
}

// wantListed wants the pages of an origin to be let in, with a credential.
func (p *page) wantListed(origin, credential string) {
	p.t.Helper()
	asked := p.preflight(origin, "")
	wantAllowed(p.t, asked, origin)
	allowed := strings.ToLower(asked.header.Get("Access-Control-Allow-Headers"))
	for _, header := range p.headers {
		if !strings.Contains(allowed, header) {
			p.t.Errorf("of the headers %q isn't allowed: %q", header, allowed)
		}
	}
	if asked.header.Get("Access-Control-Allow-Methods") != p.method || asked.status/100 != 2 {
		p.t.Errorf("the preflight is answered with %+v", asked)
	}
	got := p.call(origin, "", credential)
	wantAllowed(p.t, got, origin)
	if got.status != http.StatusOK || got.header.Get("Grpc-Status") != "" {
		p.t.Errorf("answered with %+v", got)
	}
	if exposed := got.header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "Grpc-Status-Details-Bin") {
		p.t.Errorf("a page may read %q", exposed)
	}
	// Without a credential it is told so, and can read that.
	got = p.call(origin, "", "")
	wantAllowed(p.t, got, origin)
	if !got.failed("unauthenticated", "16") {
		p.t.Errorf("without a credential: %+v", got)
	}
}

// wantAllowed wants an answer that a browser lets a page of an origin read.
func wantAllowed(t *testing.T, got answer, origin string) {
	t.Helper()
	if got.header.Get("Access-Control-Allow-Origin") != origin || got.header.Get("Access-Control-Allow-Credentials") != "true" ||
		!slices.ContainsFunc(got.header.Values("Vary"), func(vary string) bool { return strings.Contains(vary, "Origin") }) {
		t.Errorf("for %s it is answered with %d, %v", origin, got.status, got.header)
	}
}

// wantForeign wants an answer that no browser lets a page read.
func wantForeign(t *testing.T, what string, got answer) {
	t.Helper()
	for name := range maps.Keys(got.header) {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s is answered with %s: %v", what, name, got.header[name])
		}
	}
}

// TestNoCORS wants a server that lists no origins to let no page read anything.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	s := newHandlerServer(t, func(c *rpc.Config) { c.CheckHost = true })
	for name, test := range browserCalls {
		for _, http2 := range []bool{false, true} {
			got := call(t, http2, newRequest(t, http.MethodOptions, s.URL+test.path, "", map[string]string{
				"Origin": listed, "Access-Control-Request-Method": test.method, "Access-Control-Request-Headers": strings.Join(test.headers, ","),
			}))
			wantForeign(t, name, got)
		}
	}
}
