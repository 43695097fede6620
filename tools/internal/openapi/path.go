package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"example.com/tidings/tools/internal/contract"
)

// The content types of requests and answers.
const (
	unary     = "application/json"
	streaming = "application/connect+json"
)

// path describes the ways to call an RPC.
func (d *document) path(method protoreflect.MethodDescriptor) *object {
	if method.IsStreamingClient() || method.IsStreamingServer() {
		return newObject("post", d.stream(method))
	}
	path := newObject()
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	if options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		get := d.operation(method, ".get", []*object{
			query("connect", "The version of the protocol.", newObject("const", "v1")),
			query("encoding", "How the request is encoded.", newObject("const", "json")),
			newObject("name", "message", "in", "query", "required", true, "description", "The request.",
				"content", newObject(unary, newObject("schema", d.schemas.ref(method.Input())))),
			timeout(),
		})
		get.set("responses", d.responses(method))
		path.set("get", get)
	}
	post := d.operation(method, "", []*object{version(), timeout()})
	post.set("requestBody", newObject("required", true,
		"content", newObject(unary, newObject("schema", d.schemas.ref(method.Input())))))
	post.set("responses", d.responses(method))
	path.set("post", post)
	return path
}

// stream describes a call whose body is a sequence of messages, which a schema can't
// say.
func (d *document) stream(method protoreflect.MethodDescriptor) *object {
	post := d.operation(method, "", []*object{version(), timeout()})
	post.set("requestBody", newObject("required", true,
		"description", "Each message has a prefix of five bytes: a flag, 0, or 1 where the message is compressed, "+
			"and its length as an unsigned integer, big-endian. "+many(method.IsStreamingClient()),
		"content", newObject(streaming, frames(d.schemas.ref(method.Input())))))
	post.set("responses", newObject(
		"200", newObject(
			"description", "Messages with the same prefix. "+many(method.IsStreamingServer())+" The last one has the flag 2 "+
				"and is a `connect.EndOfStream`, which has the error if there is one: "+strings.Join(d.reasons(method), ", ")+".",
			"content", newObject(streaming, frames(d.schemas.ref(method.Output())))),
		"default", failure("An error from before the call. The status of a call that was reached is 200.")))
	return post
}

func many(yes bool) string {
	if yes {
		return "There are as many messages as are sent."
	}
	return "There is one message."
}

// frames describes a body by one of its messages.
func frames(message *object) *object {
	return newObject("schema", newObject("type", "string", "contentMediaType", streaming), "x-item-schema", message)
}

// operation is what all ways to call an RPC have.
func (d *document) operation(method protoreflect.MethodDescriptor, suffix string, parameters []*object) *object {
	return newObject(
		"tags", []string{string(method.Parent().FullName())},
		"summary", string(method.Name()),
		"description", strings.Join(contract.Comment(method), "\n\n"),
		"operationId", string(method.FullName())+suffix,
		"parameters", parameters,
	)
}

func query(name, description string, schema *object) *object {
	return newObject("name", name, "in", "query", "required", true, "description", description, "schema", schema)
}

func version() *object {
	return newObject("name", "Connect-Protocol-Version", "in", "header", "description", "The version of the protocol.",
		"schema", newObject("const", "1"))
}

func timeout() *object {
	return newObject("name", "Connect-Timeout-Ms", "in", "header", "description", "How long the call may take, in milliseconds.",
		"schema", newObject("type", "string", "pattern", "^[0-9]{1,10}$"))
}

// responses are the answer of an RPC, and its errors by the status of HTTP.
func (d *document) responses(method protoreflect.MethodDescriptor) *object {
	responses := newObject("200", newObject("description", "The answer.",
		"content", newObject(unary, newObject("schema", d.schemas.ref(method.Output())))))
	byStatus := make(map[int][]string)
	for _, reason := range d.reasons(method) {
		status, ok := statuses[d.contract.Codes[strings.Trim(reason, "`")]]
		if !ok {
			d.schemas.fail(fmt.Errorf("the status code of %s has no status in HTTP", reason))
		}
		byStatus[status.http] = append(byStatus[status.http], reason)
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		responses.set(strconv.Itoa(status), failure("Reasons: "+strings.Join(byStatus[status], ", ")+"."))
	}
	responses.set("default", failure("Any other error."))
	return responses
}

// reasons are those that an RPC may end with, in the type of code.
func (d *document) reasons(method protoreflect.MethodDescriptor) []string {
	known := slices.Sorted(maps.Keys(d.contract.Codes))
	named := append(contract.Reasons(method, known), d.contract.General...)
	slices.Sort(named)
	var reasons []string
	for _, reason := range slices.Compact(named) {
		reasons = append(reasons, "`"+reason+"`")
	}
	return reasons
}
