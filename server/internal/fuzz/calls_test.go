package fuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// servedPackages have the services that the server has.
var servedPackages = []protoreflect.FullName{"tidings.v1", "tidings.v1beta1", "grpc.health.v1", "grpc.reflection.v1"}

// rpcs are the RPCs of the server by name.
var rpcs = sync.OnceValue(func() map[string]protoreflect.MethodDescriptor {
	found := make(map[string]protoreflect.MethodDescriptor)
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !slices.Contains(servedPackages, file.Package()) {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				found[string(methods.Get(j).FullName())] = methods.Get(j)
			}
		}
		return true
	})
	return found
})

// names are their names, in an order that doesn't change.
var names = sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(rpcs())) })

// huge is a message of more than twice what the server takes, which isn't read.
const huge = 32 << 20

// call makes a random call, most of them nearly right.
func (g *generator) call() (c *call, patience time.Duration) {
	c = &call{rpc: rpcs()[pick(g, names()...)], transport: pick(g, transports...), header: make(map[string]string)}
	for rare(c.rpc) && !g.one(6) {
		c.rpc = rpcs()[pick(g, names()...)]
	}
	for c.transport.get && !gettable(c.rpc) {
		c.transport = pick(g, transports...)
	}
	c.messages = append(c.messages, g.request(c))
	for c.rpc.IsStreamingClient() && g.one(2) {
		c.messages = append(c.messages, g.request(c))
	}
	c.open = c.rpc.IsStreamingClient() && g.one(2) || !c.transport.get && g.one(100)
	if !c.transport.get && g.one(12) {
		c.gzip = true
		if g.one(10) {
			c.messages[0] = make([]byte, huge)
		}
	}
	if g.one(25) {
		g.oddHeader(c)
	}
	if c.enveloped() && g.one(25) {
		g.oddFrame(c)
	}
	patience = 2 * time.Second
	if streams(c.rpc) || g.one(12) {
		patience = time.Duration(g.IntN(300)) * time.Millisecond
	}
	if g.one(4) {
		g.deadline(c)
	}
	return c, patience
}

// rare reports whether an RPC is called less often than others: because it takes
// away what they are tried on, or because Buf, a process, compares schemas for it.
func rare(rpc protoreflect.MethodDescriptor) bool {
	return strings.HasPrefix(string(rpc.Name()), "Delete") || rpc.Input().Fields().ByName("image") != nil
}

func gettable(rpc protoreflect.MethodDescriptor) bool {
	options, _ := rpc.Options().(*descriptorpb.MethodOptions)
	return !streams(rpc) && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

// request makes a request message of a call, encoded.
func (g *generator) request(c *call) []byte {
	g.wild = pick(g, 0, 0, 60, 8)
	m := g.message(c.rpc.Input())
	if !c.transport.json {
		encoded := encode(m)
		if g.one(6) {
			encoded = g.damage(encoded)
		}
		return encoded
	}
	text, err := protojson.MarshalOptions{Resolver: g.types, AllowPartial: true}.Marshal(m)
	if err != nil {
		text = []byte("{}") // It holds something that JSON has no form for.
	}
	if g.one(6) {
		text = g.damageJSON(text)
	}
	return text
}

func (g *generator) deadline(c *call) {
	if wait := pick(g, 0, 1, 5, 20, 100, 99_999_999); c.transport.protocol == "connect" {
		c.header["Connect-Timeout-Ms"] = strconv.Itoa(wait)
	} else {
		c.header["Grpc-Timeout"] = strconv.Itoa(wait) + "m"
	}
}

func (g *generator) oddHeader(c *call) {
	c.header[pick(g, "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Grpc-Timeout", "Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding",
		"Grpc-Accept-Encoding", "Accept-Encoding", "Te", "X-User-Agent", "Traceparent", "Cookie-Bin")] = pick(g,
		"", "x", "gzip", "identity", "gzip, br", "-1", "99999999999999999999", "1S", "1n", "application/json", "application/grpc", "application/grpc+", "application/proto; charset=x",
		"text/plain", "!!!", strings.Repeat("h", 9000))
}

func (g *generator) oddFrame(c *call) {
	how, which := g.IntN(5), g.IntN(len(c.messages))
	flags, length := byte(g.Uint32()), byte(g.Uint32())
	c.frame = func(i int, frame []byte) []byte {
		switch {
		case i != which:
		case how == 0:
			frame[0] = flags
		case how == 1:
			frame[0] = 1 // Compressed, it says.
		case how == 2:
			frame[4] = length
		case how == 3:
			frame[1] = 0xff
		default:
			return frame[:int(length)%len(frame)]
		}
		return frame
	}
}

// odd reports whether the call breaks the protocol, or is not of the contract. Then
// the error can be that of a library, which has no reason.
func (c *call) odd() bool {
	if c.frame != nil || strings.HasPrefix(string(c.rpc.FullName()), "grpc.") || c.rpc.IsStreamingClient() && c.rpc.IsStreamingServer() && !c.transport.http2 {
		return true
	}
	for name := range c.header {
		if !strings.HasSuffix(name, "-Timeout") && name != "Connect-Timeout-Ms" || c.header[name] == "" || strings.Trim(c.header[name], "0123456789m") != "" || len(c.header[name]) > 10 {
			return true
		}
	}
	return false
}

// hurried reports whether the call has a deadline that may pass before the server
// has looked at it. Then it is the library that ends it.
func (c *call) hurried() bool { return c.header["Grpc-Timeout"]+c.header["Connect-Timeout-Ms"] != "" }

// maxMetadata bounds what the headers and trailers of an error may take: half of
// what clients take by default.
const maxMetadata = 4096 + 512

// judge returns what is wrong with a reply, or nothing.
func (c *call) judge(r *reply) string {
	info := r.info()
	switch {
	case !r.ended:
	case r.http == http.StatusInternalServerError, r.code == codes.Internal && !c.odd(), r.code == codes.Unknown:
		return "the server takes the fault upon itself"
	case r.metadata > maxMetadata && r.code != codes.OK && !c.odd():
		return fmt.Sprintf("headers and trailers of %d bytes", r.metadata)
	case info != nil:
		value := reasonOf(info.GetReason())
		if value == nil || info.GetDomain() != "tidings" {
			return "an unknown reason " + info.String()
		}
		if options, _ := proto.GetExtension(value.Options(), tidingsv1.E_Error).(*tidingsv1.ErrorReasonOptions); codes.Code(options.GetCode()) != r.code {
			return "another code than that of its reason"
		}
	case r.code == codes.DeadlineExceeded && c.hurried():
	case r.code == codes.ResourceExhausted && len(c.messages[0]) == huge:
	case (r.code != codes.OK || r.http != http.StatusOK) && !c.odd():
		return "an error without a reason"
	case r.code == codes.OK && r.http == http.StatusOK && !c.odd():
		return c.judgeMessages(r)
	}
	return ""
}

// reasonOf returns a reason of a catalogue by its name, or nil.
func reasonOf(name string) protoreflect.EnumValueDescriptor {
	for _, catalogue := range []protoreflect.EnumDescriptor{tidingsv1.ErrorReason(0).Descriptor(), tidingsv1beta1.ErrorReason(0).Descriptor()} {
		if value := catalogue.Values().ByName(protoreflect.Name("ERROR_REASON_" + name)); value != nil {
			return value
		}
	}
	return nil
}

func (c *call) judgeMessages(r *reply) string {
	if !c.rpc.IsStreamingServer() && len(r.messages) != 1 {
		return fmt.Sprintf("%d messages", len(r.messages))
	}
	for _, message := range r.messages {
		if c.transport.json && !json.Valid(message) {
			return fmt.Sprintf("a response that isn't JSON: %.200q", message)
		} else if !c.transport.json {
			if err := proto.Unmarshal(message, dynamicpb.NewMessage(c.rpc.Output())); err != nil {
				return "a response that can't be decoded: " + err.Error()
			}
		}
	}
	return ""
}

// String shows a call so that it can be repeated.
func (c *call) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %v, header %q, open %t, gzip %t, odd frames %t", c.rpc.FullName(), c.transport, c.header, c.open, c.gzip, c.frame != nil)
	for _, message := range c.messages {
		if c.transport.json {
			fmt.Fprintf(&b, "\n  %.1500s", message)
		} else {
			fmt.Fprintf(&b, "\n  %.1500x", message)
		}
	}
	return b.String()
}

// counts are how calls ended, by RPC, transport and outcome.
type counts struct {
	mu       sync.Mutex
	by       map[[2]string]map[string]int
	calls    int
	metadata int // The most that headers and trailers of an error took.
	faults   map[string]int
}

// first counts a fault, and reports whether it is among the first of its kind.
func (n *counts) first(kind string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.faults == nil {
		n.faults = make(map[string]int)
	}
	n.faults[kind]++
	return n.faults[kind] <= 2
}

func (n *counts) add(c *call, r *reply) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{string(c.rpc.FullName()), c.transport.String()}
	if n.by[key] == nil {
		n.by[key] = make(map[string]int)
	}
	n.by[key][r.outcome()]++
	n.calls++
	if r.code != codes.OK {
		n.metadata = max(n.metadata, r.metadata)
	}
}

func (n *counts) String() string {
	var b strings.Builder
	all := make(map[string]int)
	for _, outcomes := range n.by {
		for outcome, times := range outcomes {
			all[outcome] += times
		}
	}
	fmt.Fprintf(&b, "%d calls: %s\nthe largest error took %d bytes of headers and trailers\n", n.calls, summary(all), n.metadata)
	for _, key := range slices.SortedFunc(maps.Keys(n.by), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		fmt.Fprintf(&b, "%s, %s: %s\n", key[0], key[1], summary(n.by[key]))
	}
	return b.String()
}

// calls makes random calls until the context ends, and tells of each fault.
func (s *server) calls(ctx context.Context, g *generator, n *counts, fault func(kind, problem string)) {
	for ctx.Err() == nil {
		c, patience := g.call()
		calling, cancel := context.WithTimeout(ctx, patience)
		r, err := s.do(calling, c)
		cancel()
		n.add(c, r)
		problem := c.judge(r)
		if err != nil && !c.odd() && !c.hurried() {
			problem = err.Error()
		}
		if problem != "" {
			kind, _, _ := strings.Cut(problem, ":")
			fault(kind+" "+string(c.rpc.Name())+" "+r.outcome(), fmt.Sprintf("%s: %s %q\n%v", problem, r.outcome(), r.message, c))
		}
		if r.code != codes.OK || c.transport.json {
			continue
		}
		for _, message := range r.messages {
			if m := dynamicpb.NewMessage(c.rpc.Output()); proto.Unmarshal(message, m) == nil {
				g.known.learn(m)
			}
		}
	}
}
