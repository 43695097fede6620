package rpc_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	publishPath = "/tidings.v1.PublisherService/Publish"
	listPath    = "/tidings.v1.TopicService/ListTopics"
	getPath     = "/tidings.v1.TopicService/GetTopic"
	readPath    = "/tidings.v1.ReaderService/GetEvent"
	importPath  = "/tidings.v1.PublisherService/Import"
)

// connectFailure is an error as Connect writes it in JSON.
type connectFailure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type  string          `json:"type"`
		Debug json.RawMessage `json:"debug"`
	} `json:"details"`
}

// post sends a body that no client would make, as a unary call of Connect.
func post(t *testing.T, path, contentType string, body io.Reader, length int64) (status int, answer []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(testContext(t), http.MethodPost, "http://"+shared.httpAddr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = length
	request.Header.Set("Content-Type", contentType)
	response, err := newHTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // The body was read.
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// postFailure returns the refusal of such a call.
func postFailure(t *testing.T, answer []byte) refusal {
	t.Helper()
	var failure connectFailure
	if err := json.Unmarshal(answer, &failure); err != nil {
		t.Fatalf("%v in %.300q", err, answer)
	}
	var got refusal
	if err := got.Code.UnmarshalJSON([]byte(`"` + strings.ToUpper(failure.Code) + `"`)); err != nil {
		t.Fatal(err)
	}
	for _, detail := range failure.Details {
		var debug struct {
			Reason          string            `json:"reason"`
			Metadata        map[string]string `json:"metadata"`
			FieldViolations []struct {
				Field string `json:"field"`
			} `json:"fieldViolations"`
		}
		if err := json.Unmarshal(detail.Debug, &debug); err != nil {
			t.Fatal(err)
		}
		switch detail.Type {
		case "google.rpc.ErrorInfo":
			got.Reason, got.Metadata = debug.Reason, debug.Metadata
		case "google.rpc.BadRequest":
			for _, violation := range debug.FieldViolations {
				got.Fields = append(got.Fields, violation.Field)
			}
		}
	}
	return got
}

// stillServes fails the test unless the server goes on.
func stillServes(t *testing.T) {
	t.Helper()
	if _, err := transports()[0].dial(t, shared).GetServerInfo(testContext(t), &tidingsv1.GetServerInfoRequest{}); err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, "/tidings.v1.ServerService/GetServerInfo", "application/json", strings.NewReader("{}"), 2)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, answer)
	}
}

// order is an event in JSON with changes: pairs of an old text and a new one.
func order(changes ...string) string {
	const text = `{"topic":"orders","events":[{"id":"raw","source":"/raw","data":{` +
		`"@type":"type.googleapis.com/shop.orders.v1.OrderPlaced","orderId":"o","email":"a@example.com",` +
		`"items":[{"sku":"TEA","quantity":1,"unitPrice":{"currencyCode":"EUR","minorUnits":"1"}}],` +
		`"total":{"currencyCode":"EUR","minorUnits":"1"},"placedAt":"2026-01-02T03:04:05Z"}}]}`
	return strings.NewReplacer(changes...).Replace(text)
}

func TestBadJSON(t *testing.T) {
	t.Parallel()
	malformed := because(codes.InvalidArgument, "REQUEST_MALFORMED")
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	tooDeep := because(codes.InvalidArgument, "EVENT_MALFORMED").at("events[0].data.value")
	deep := func(open, closing string, depth int) string {
		return strings.Repeat(open, depth) + strings.Repeat(closing, depth)
	}
	for name, test := range map[string]struct {
		path, body string
		want       refusal
	}{
		"empty":                     {publishPath, "", malformed},
		"null":                      {publishPath, "null", malformed},
		"an array":                  {publishPath, "[]", malformed},
		"a string":                  {publishPath, `"x"`, malformed},
		"cut off":                   {publishPath, order()[:100], malformed},
		"two values":                {publishPath, order() + "{}", malformed},
		"misspelt field":            {publishPath, order(`"events"`, `"evnets"`), malformed.at("evnets")},
		"misspelt field inside":     {publishPath, order(`"source"`, `"sorce"`), malformed.at("events[0].sorce")},
		"misspelt field of payload": {publishPath, order(`"email"`, `"emial"`), malformed.at("events[0].data.emial")},
		"misspelt deep in payload":  {publishPath, order(`"sku"`, `"skew"`), malformed.at("events[0].data.items[0].skew")},
		"wrong type":                {publishPath, order(`"raw"`, `17`), malformed.at("events[0].id")},
		"wrong type of payload":     {publishPath, order(`"quantity":1`, `"quantity":"many"`), malformed.at("events[0].data.items[0].quantity")},
		"bad time":                  {publishPath, order(`2026-01-02T`, `2026-13-02T`), malformed.at("events[0].data.placedAt")},
		"field twice":               {publishPath, order(`"id":"raw"`, `"id":"raw","id":"raw"`), malformed.at("events[0].id")},
		"attribute twice":           {publishPath, order(`"id":"raw"`, `"attributes":{"a":"1","a":"2"}`), malformed.at(`events[0].attributes["a"]`)},
		"unknown type": {publishPath, order(`OrderPlaced`, `OrderEaten`),
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "shop.orders.v1.OrderEaten").at("events[0].data.@type")},
		"unknown type to validate": {"/tidings.v1.SchemaService/ValidateEvents", `{"events":[{},{"data":{"@type":"a/no.Such"}}]}`,
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "no.Such").at("events[1].data.@type")},
		"unknown type inside": {publishPath, `{"events":[{"data":{"@type":"a/google.protobuf.Any","value":{"@type":"a/no.Such"}}}]}`,
			because(codes.InvalidArgument, "EVENT_TYPE_UNKNOWN", "type", "no.Such").at("events[0].data.value.@type")},
		"not the name of a type": {publishPath, order(`OrderPlaced`, `OrderPlaced!`), because(codes.InvalidArgument, "EVENT_MALFORMED").at("events[0].data.@type")},
		"no @type":               {publishPath, order(`"@type"`, `"type"`), malformed.at("events[0].data")},
		"invalid UTF-8":          {publishPath, order(`"raw"`, "\"\xff\xfe\""), malformed.at("events[0].id")},
		"half a surrogate":       {publishPath, order(`"raw"`, `"\ud800"`), malformed.at("events[0].id")},
		"NUL in the text":        {publishPath, order(`"raw"`, "\"\x00\""), malformed.at("events[0].id")},
		"NUL in an id":           {publishPath, order(`"raw"`, `"\u0000"`), because(codes.InvalidArgument, "EVENT_INVALID").at("events[0].id")},
		"NUL in a topic":         {getPath, `{"name":"a\u0000"}`, invalid.at("name")},
		"nested arrays":          {publishPath, deep("[", "]", 100_000), malformed},
		"nested objects":         {publishPath, deep(`{"a":`, "}", 100_000), malformed.at("a")},
		"nested in a field":      {publishPath, `{"events":` + deep("[", "]", 100_000) + `}`, malformed.at("events[0]")},
		"nested Any":             {publishPath, `{"events":[{"data":` + deep(`{"@type":"type.googleapis.com/google.protobuf.Any","value":`, "}", 9_000) + `}]}`, tooDeep},
		"nested messages": {publishPath, `{"events":[{"id":"1","source":"/","data":{"@type":"a/shop.orders.v1.OrderPlaced","items":` +
			deep(`[{"items":`, "}]", 150) + `}}]}`, tooDeep},
		"nested Value": {publishPath, `{"events":[{"data":{"@type":"type.googleapis.com/google.protobuf.Value","value":` +
			deep("[", "]", 100_000) + `}}]}`, tooDeep},
		"unknown enum": {"/tidings.v1.TopicService/CreateTopic", `{"topic":{"name":"a","dedupe":"DEDUPE_ALWAYS"}}`, malformed.at("topic.dedupe")},
		"unknown enum of payload": {publishPath, `{"events":[{"id":"1","source":"/","data":{"@type":"a/shop.orders.v1.OrderCancelled","reason":"WHIM"}}]}`,
			malformed.at("events[0].data.reason")},
		"negative page size": {listPath, `{"pageSize":-5}`, invalid.at("page_size")},
		"int32 overflow":     {listPath, `{"pageSize":4294967296}`, malformed.at("pageSize")},
		"fraction":           {listPath, `{"pageSize":1.5}`, malformed.at("pageSize")},
		"huge exponent":      {listPath, `{"pageSize":1e999999999}`, malformed.at("pageSize")},
		"int64 overflow":     {readPath, `{"topic":"orders","sequence":"9223372036854775808"}`, malformed.at("sequence")},
		"int64 underflow":    {readPath, `{"topic":"orders","sequence":-9223372036854775809}`, malformed.at("sequence")},
		"field mask":         {"/tidings.v1.TopicService/UpdateTopic", `{"topic":{"name":"orders"},"updateMask":"a b"}`, malformed.at("updateMask")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, answer := post(t, test.path, "application/json", strings.NewReader(test.body), int64(len(test.body)))
			if len(answer) > 16<<10 {
				t.Errorf("an answer of %d bytes", len(answer))
			}
			got := postFailure(t, answer)
			compareRefusals(t, got, test.want, string(answer))
			stillServes(t)
		})
	}
	t.Run("and what is right", func(t *testing.T) {
		status, answer := post(t, publishPath, "application/json; charset=utf-8", strings.NewReader(order()), -1)
		var response struct {
			Topic    string           `json:"topic"`
			Receipts []map[string]any `json:"receipts"`
		}
		if err := json.Unmarshal(answer, &response); err != nil || status != http.StatusOK || response.Topic != "orders" || len(response.Receipts) != 1 {
			t.Errorf("%d: %s", status, answer)
		}
	})
}

func TestBadProtobuf(t *testing.T) {
	t.Parallel()
	malformed := because(codes.InvalidArgument, "REQUEST_MALFORMED")
	invalid := because(codes.InvalidArgument, "REQUEST_INVALID")
	full, err := proto.Marshal(&tidingsv1.PublishRequest{Topic: "orders", Events: orders(t, "raw", 3)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path string
		body []byte
		want refusal
	}{
		"empty":          {publishPath, nil, invalid.at("events")},
		"truncated":      {publishPath, full[:len(full)-20], malformed},
		"a tag only":     {publishPath, []byte{0x0a}, malformed},
		"field 0":        {publishPath, []byte{0x00, 0x00}, malformed},
		"endless varint": {publishPath, bytes.Repeat([]byte{0xff}, 64), malformed},
		"huge length":    {publishPath, []byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x7f}, malformed},
		"invalid UTF-8":  {getPath, []byte{0x0a, 0x02, 0xff, 0xfe}, malformed},
		"NUL":            {getPath, []byte{0x0a, 0x02, 'a', 0x00}, invalid.at("name")},
		"groups":         {publishPath, bytes.Repeat([]byte{0x0b}, 100_000), malformed},
		"text":           {getPath, []byte("GET / HTTP/1.1\r\n\r\n"), malformed},
	} {
		t.Run("connect/"+name, func(t *testing.T) {
			t.Parallel()
			_, answer := post(t, test.path, "application/proto", bytes.NewReader(test.body), int64(len(test.body)))
			compareRefusals(t, postFailure(t, answer), test.want, string(answer))
			stillServes(t)
		})
		t.Run("native/"+name, func(t *testing.T) {
			t.Parallel()
			err := invokeRaw(t, test.path, test.body)
			wantRefusal(t, err, test.want)
			stillServes(t)
		})
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestHugeBody(t *testing.T) {
	t.Parallel()
	const huge = 100 << 20
	for _, contentType := range []string{"application/json", "application/proto"} {
		t.Run("announced/"+contentType, func(t *testing.T) {
			t.Parallel()
			_, answer := post(t, publishPath, contentType, io.LimitReader(zeros{}, huge), huge)
			want := because(codes.ResourceExhausted, "REQUEST_TOO_LARGE", "limit", fmt.Sprint(testRequestBytes), "size", fmt.Sprint(huge))
			compareRefusals(t, postFailure(t, answer), want, string(answer))
			stillServes(t)
		})
		t.Run("chunked/"+contentType, func(t *testing.T) {
			t.Parallel()
			_, answer := post(t, publishPath, contentType, io.LimitReader(zeros{}, huge), -1)
			want := because(codes.ResourceExhausted, "REQUEST_TOO_LARGE", "limit", fmt.Sprint(testRequestBytes), "size", fmt.Sprint(huge))
			compareRefusals(t, postFailure(t, answer), want, string(answer))
			stillServes(t)
		})
	}
	t.Run("native", func(t *testing.T) {
		t.Parallel()
		err := invokeRaw(t, publishPath, make([]byte, huge))
		// grpc-go stops reading before the server hears of it, so there is no
		// reason from the catalogue.
		wantRefusal(t, err, because(codes.ResourceExhausted, ""))
		stillServes(t)
	})
	t.Run("a long stream is no huge message", func(t *testing.T) {
		t.Parallel()
		topic := newTopic(t, transports()[0].dial(t, shared))
		var body bytes.Buffer
		for count := 0; body.Len() < 3*testRequestBytes; count++ {
			encoded, err := proto.Marshal(&tidingsv1.ImportRequest{Publish: &tidingsv1.PublishRequest{Topic: topic, Events: []*tidingsv1.Event{bulky(t, fmt.Sprint(count), 28<<10)}}})
			if err != nil {
				t.Fatal(err)
			}
			body.WriteByte(0)
			if err := binary.Write(&body, binary.BigEndian, uint32(len(encoded))); err != nil {
				t.Fatal(err)
			}
			body.Write(encoded)
		}
		status, answer := post(t, importPath, "application/connect+proto", &body, int64(body.Len()))
		response := new(tidingsv1.ImportResponse)
		if status != http.StatusOK || len(answer) < 5 {
			t.Fatalf("%d: %q", status, answer)
		}
		if err := proto.Unmarshal(answer[5:5+binary.BigEndian.Uint32(answer[1:])], response); err != nil || response.GetStoredCount() < 100 {
			t.Errorf("%v, %v", response, err)
		}
	})
}

// A GET says how it is encoded in its query, whatever its header says.
func TestGetWithContentType(t *testing.T) {
	t.Parallel()
	for encoding, contentType := range map[string]string{"proto": "application/json", "json": "application/proto"} {
		target := "http://" + shared.httpAddr + "/tidings.v1.ServerService/GetServerInfo?connect=v1&message=%7B%7D&encoding=" + encoding
		if encoding == "proto" {
			target = strings.Replace(target, "%7B%7D", "", 1)
		}
		request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		response, err := newHTTPClient(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "application/"+encoding {
			t.Errorf("%s with %s: %s, %s", encoding, contentType, response.Status, got)
		}
	}
}
