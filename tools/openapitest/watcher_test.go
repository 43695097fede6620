package openapitest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// The content types of requests and answers.
const (
	unary     = "application/json"
	streaming = "application/connect+json"
)

// watcher compares calls with the document.
type watcher struct {
	url       string
	described *description
	backend   *url.URL
	transport *http.Transport

	mu       sync.Mutex
	problems []string
	seen     map[string]count
}

// count is how much was seen of a call, by what it was.
type count map[string]int

func (w *watcher) count(path, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[path] == nil {
		w.seen[path] = make(count)
	}
	w.seen[path][what]++
}

func (w *watcher) problemf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// unary compares a call with one request and one answer.
func (w *watcher) unary(request *http.Request, sent []byte, answer answer) {
	path := request.URL.Path
	request.Body = reader(sent)
	response := &http.Response{StatusCode: answer.status, Header: answer.header, Body: reader(answer.body)}
	if problem := w.described.response(request, response); problem != "" {
		w.problemf("%s %s: the answer %d %s isn't as described: %s", request.Method, path, answer.status, answer.body, problem)
	}
	if reason := reasonOf(answer.body); answer.status != http.StatusOK && !w.described.names(path, answer.status, reason) {
		w.problemf("%s %s: the document doesn't name the reason %s of %d", request.Method, path, reason, answer.status)
	}
	request.Body = reader(sent)
	problem := w.described.request(request)
	switch {
	case problem != "" && (answer.status != http.StatusOK || refusedInside(answer.body)):
		w.count(path, "refused as described")
	case problem != "":
		w.problemf("%s %s: the server takes %s%s, which isn't as described: %s", request.Method, path, request.URL.RawQuery, sent, problem)
	case answer.status == http.StatusOK:
		w.count(path, "taken")
	default:
		w.count(path, "refused")
	}
}

// refusedInside reports whether an answer says of a part of the request that it is
// refused: a batch, an event, a settlement.
func refusedInside(answer []byte) bool {
	return bytes.Contains(answer, []byte(`"error":`)) || bytes.Contains(answer, []byte(`"SETTLEMENT_STATUS_INVALID"`))
}

// reasonOf returns the reason of an error. Empty: it isn't one, or has none.
func reasonOf(answer []byte) string {
	type failure struct {
		Details []struct {
			Debug struct {
				Reason string `json:"reason"`
			} `json:"debug"`
		} `json:"details"`
	}
	var found struct {
		failure

		Error failure `json:"error"`
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		return ""
	}
	for _, detail := range append(found.Details, found.Error.Details...) {
		return detail.Debug.Reason
	}
	return ""
}

// stream compares the messages of a stream with what it consists of.
func (w *watcher) stream(request *http.Request, sent []byte, answer answer) {
	path := request.URL.Path
	if answer.status != http.StatusOK {
		w.count(path, "other")
		return
	}
	refused := false
	for _, frame := range frames(answer.body) {
		schema := w.described.answers[path]
		if frame.flags&endOfStream != 0 {
			schema = "connect.EndOfStream"
		}
		if reason := reasonOf(frame.message); frame.flags&endOfStream != 0 && !w.described.names(path, answer.status, reason) {
			w.problemf("%s: the document doesn't name the reason %s", path, reason)
		}
		refused = refused || refusedInside(frame.message)
		if problem := w.described.message(schema, frame.message); problem != "" {
			w.problemf("%s: the frame %s isn't as described: %s", path, frame.message, problem)
		}
		w.count(path, "answers")
	}
	for _, frame := range frames(sent) {
		problem := w.described.message(w.described.requests[path], frame.message)
		switch {
		case problem == "":
			w.count(path, "taken")
		case refused:
			w.count(path, "refused as described")
		default:
			w.problemf("%s: the server takes %s, which isn't as described: %s", path, frame.message, problem)
		}
	}
}

// The flags of a frame.
const (
	compressed  = 1
	endOfStream = 2
)

type frame struct {
	flags   byte
	message []byte
}

// frames returns the whole frames of a body that aren't compressed.
func frames(body []byte) []frame {
	var all []frame
	for len(body) >= 5 {
		size := int64(binary.BigEndian.Uint32(body[1:5]))
		if int64(len(body)) < 5+size {
			break
		}
		if body[0]&compressed == 0 {
			all = append(all, frame{body[0], body[5 : 5+size]})
		}
		body = body[5+size:]
	}
	return all
}

// report says what wasn't as described, and fails as well if too little was seen to
// say so.
func (w *watcher) report(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, problem := range w.problems {
		if i == 20 {
			t.Errorf("and %d more", len(w.problems)-i)
			break
		}
		t.Error(problem)
	}
	for path := range w.described.paths {
		if w.seen[path]["taken"] == 0 {
			t.Errorf("%s: no request was taken: %v", path, w.seen[path])
		}
	}
	refused := 0
	for path, seen := range w.seen {
		refused += seen["refused as described"]
		t.Log(strings.TrimPrefix(path, "/"), seen)
	}
	if refused == 0 {
		t.Error("the document refuses nothing that the server refuses")
	}
}
