package rpc_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestHints(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, contentType string
		status                    int
		want                      string
	}{
		"curl -d":                  {http.MethodPost, publishPath, "application/x-www-form-urlencoded", 415, "curl --json @FILE http://127.0.0.1"},
		"no content type":          {http.MethodPost, publishPath, "", 415, `the content type is \"\"`},
		"text":                     {http.MethodPost, publishPath, "text/plain", 415, "application/json"},
		"a character set":          {http.MethodPost, publishPath, "application/json; charset=latin1", 415, ""},
		"JSON for a stream":        {http.MethodPost, "/tidings.v1.ReaderService/Read", "application/json", 415, "this call is a stream"},
		"both ways over HTTP/1.1":  {http.MethodPost, "/tidings.v1.ConsumerService/Consume", "application/connect+json", 505, "HTTP/2"},
		"GET that has effects":     {http.MethodGet, publishPath, "", 405, "curl --json '{}' http://127.0.0.1"},
		"GET of what is too large": {http.MethodGet, "/tidings.v1.SchemaService/ValidateEvents", "", 405, "a call is a POST, and this is GET"},
		"GET of a stream":          {http.MethodGet, "/tidings.v1.ReaderService/Read", "", 405, "a call is a POST, and this is GET"},
		"GET without its request":  {http.MethodGet, listPath, "", 415, "?connect=v1&encoding=json&message=%7B%7D"},
		"preflight":                {http.MethodOptions, publishPath, "", 405, "and this is OPTIONS"},
		"unknown call":             {http.MethodPost, "/tidings.v1.ReaderService/Reed", "application/json", 404, "it has Read, GetEvent; do you mean /tidings.v1.ReaderService/Read?"},
		"call of another service":  {http.MethodPost, "/tidings.v1.TopicService/publish", "application/json", 404, "do you mean /tidings.v1.PublisherService/Publish?"},
		"service without a domain": {http.MethodPost, "/PublisherService/publish", "application/json", 404, "do you mean /tidings.v1.PublisherService/Publish?"},
		"misspelt call":            {http.MethodPost, "/tidings.v1.PublisherService/Publsh", "application/json", 404, "it has Publish, PublishStream, Import; do you mean /tidings.v1.PublisherService/Publish?"},
		"misspelt service":         {http.MethodPost, "/tidings.v1.PublisherServise/PublishStream", "application/json", 404, "do you mean /tidings.v1.PublisherService/PublishStream?"},
		"both misspelt":            {http.MethodPost, "/tidings.v1.RederService/GetEvnt", "application/json", 404, "do you mean /tidings.v1.ReaderService/GetEvent?"},
		"a slash too many":         {http.MethodPost, publishPath + "/", "application/json", 404, "do you mean " + publishPath + "?"},
		"misspelt, of health":      {http.MethodPost, "/grpc.health.v1.Health/Chek", "application/json", 404, "it has Check, List, Watch; do you mean /grpc.health.v1.Health/Check?"},
		"misspelt, with GET":       {http.MethodGet, "/tidings.v1.TopicService/ListTopic", "", 404, "do you mean /tidings.v1.TopicService/ListTopics?"},
		"health, misspelt":         {http.MethodGet, "/health", "", 404, "do you mean /healthz?"},
		"metrics, misspelt":        {http.MethodGet, "/metric", "", 404, "do you mean /metrics?"},
		"health, posted":           {http.MethodPost, "/healthz", "", 405, "/healthz is asked with GET"},
		"far too long":             {http.MethodPost, "/" + strings.Repeat("tidings.v1.", 5000), "application/json", 404, ".tiding…\\\"; GET / says what is there"},
		"nothing":                  {http.MethodGet, "/favicon.ico", "", 404, "GET / says what is there"},
		"nothing, posted":          {http.MethodPost, "/", "", 404, "GET / says what is there"},
		"front page":               {http.MethodGet, "/", "", 200, "Tidings 1.2.3-test"},
		"services on it":           {http.MethodGet, "/", "", 200, "tidings.v1beta1.SchemaService"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := make(http.Header)
			if test.contentType != "" {
				header.Set("Content-Type", test.contentType)
			}
			status, answer := answerTo(t, false, test.method, "http://"+shared.httpAddr+test.path, shared.httpAddr, header)
			if status != test.status || !strings.Contains(answer, test.want) {
				t.Fatalf("%d: %s", status, answer)
			}
			if test.method != http.MethodPost && status != 405 && status != 415 || test.path == "/healthz" {
				return // In plain text.
			}
			var failure connectFailure
			if err := json.Unmarshal([]byte(answer), &failure); err != nil || failure.Code == "" || failure.Message == "" {
				t.Errorf("%v in %s", err, answer)
			}
		})
	}
	t.Run("gRPC", func(t *testing.T) {
		t.Parallel()
		if answer := send(t, "/tidings.v1.ReaderService/Reed", http.Header{"Content-Type": {"application/grpc"}}, nil); !strings.Contains(answer, "Grpc-Status:[12]") {
			t.Errorf("the answer is %s", answer)
		}
	})
}
