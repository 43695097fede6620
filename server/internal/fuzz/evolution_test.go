package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/daemon"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

const (
	evolvingPackage = "fuzz.evolving"
	evolvingTopic   = "evolving"
	evolutions      = 3  // Of a schema.
	eventsBetween   = 25 // Sent, not all of which are taken.
)

// Whatever becomes of the schemas, by a restart or by registration, the events
// that were taken before can be read: in binary as they were, in JSON in some
// form, and in their own form where they fit the schema of the day.
func TestEvolution(t *testing.T) {
	duration, seed := settings(t)
	end := time.Now().Add(duration / 4)
	outcomes := make(map[string]int)
	for i := uint64(0); (i == 0 || time.Now().Before(end)) && !t.Failed(); i++ {
		g := newGenerator(seed, 2<<32+i)
		e := &evolution{t: t, g: g, outcomes: outcomes, dir: t.TempDir(), file: g.takenSchema(), registers: i%2 == 1}
		e.run()
		outcomes["servers"]++
		if t.Failed() {
			t.Logf("it was server %d of the seed; the last schema: %s", i, describe(image(e.file)))
		}
	}
	t.Log(summary(outcomes))
}

// evolution is one server whose schemas change.
type evolution struct {
	t        *testing.T
	g        *generator
	outcomes map[string]int
	dir      string
	// registers says that schemas are registered, where the server allows that;
	// otherwise it is started again, and takes what it is given.
	registers bool

	file   *fileProto
	client *goodClient
	stored map[int64]*anypb.Any // What was taken. The value is nil where it came as JSON.
}

func (e *evolution) run() {
	e.stored = make(map[int64]*anypb.Any)
	e.start()
	defer func() { e.end() }()
	// Also what declares no topic, and parts of events.
	e.client.ask(overBinary, "TopicService.UpdateTopic", &tidingsv1.UpdateTopicRequest{
		Topic: &tidingsv1.Topic{Name: evolvingTopic, Settings: &optionsv1.TopicSettings{EventTypes: []string{"*"}}},
	})
	e.client.ask(overBinary, "SubscriptionService.CreateSubscription", &tidingsv1.CreateSubscriptionRequest{
		Subscription: &tidingsv1.Subscription{Name: "all", Topic: evolvingTopic}, Start: fromEarliest(),
	})
	e.publish()
	e.check()
	for range evolutions {
		e.evolve()
		e.check()
		e.publish()
		e.check()
	}
}

// end stops the server, whose log has to be without faults.
func (e *evolution) end() {
	if err := e.client.server.stop(); err != nil {
		e.t.Error(err)
	}
	for _, fault := range e.client.server.log.take() {
		e.t.Error("in the server's log: " + fault)
	}
}

// takenSchema makes a schema that a server starts with.
func (g *generator) takenSchema() *fileProto {
	for {
		if file := g.schema(evolvingPackage, evolvingTopic, g.one(3)); usable(file) {
			return file
		}
	}
}

func fromEarliest() *tidingsv1.StartPosition {
	return &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Boundary{Boundary: tidingsv1.StartBoundary_START_BOUNDARY_EARLIEST}}
}

// start starts the server with the present schemas.
func (e *evolution) start() {
	schemas := filepath.Join(e.dir, "schemas.binpb")
	if err := os.WriteFile(schemas, image(e.file), 0o644); err != nil {
		e.t.Fatal(err)
	}
	buf := ""
	if e.registers {
		var err error
		if buf, err = buftest.Path(); err != nil {
			e.t.Fatal(err)
		}
	}
	s, err := start(context.Background(), filepath.Join(e.dir, "data"), func(c *daemon.Config) { c.Schemas, c.Buf = schemas, buf })
	if err != nil {
		e.t.Fatalf("%v\n%s", err, describe(image(e.file)))
	}
	e.know(s)
}

// know makes the present schemas those of the generator and of the client.
func (e *evolution) know(s *server) {
	types, err := newUniverse(image(e.file))
	if err != nil {
		e.t.Fatal(err)
	}
	e.g.types = types
	e.client = &goodClient{t: e.t, server: s, types: types}
}

func (e *evolution) evolve() {
	changed := e.g.evolve(e.file)
	if !e.registers {
		if !usable(changed) {
			return // Nor would the server start with it.
		}
		e.end()
		e.file = changed
		e.start()
		e.outcomes["changes by restart"]++
		return
	}
	r := e.client.tryRPC(overBinary, "tidings.v1beta1.SchemaService.RegisterSchema", &tidingsv1beta1.RegisterSchemaRequest{Image: image(changed)})
	e.outcomes["changes by registration: "+r.outcome()]++
	if r.code == codes.OK {
		e.file = changed
		e.know(e.client.server)
	}
}

func (e *evolution) publish() {
	for range eventsBetween {
		e.g.wild = pick(e.g, 0, 0, 30, 8)
		of := pick(e.g, e.g.types.messages...)
		data := &anypb.Any{TypeUrl: typePrefix + string(of.FullName()), Value: encode(e.g.message(of))}
		over := overBinary
		if e.g.one(2) {
			over = overJSON
		} else if e.g.one(3) {
			data.Value = e.g.damage(data.GetValue())
		}
		id := fmt.Sprintf("e%d", e.outcomes["events sent"])
		request := &tidingsv1.PublishRequest{Topic: evolvingTopic, Events: []*tidingsv1.Event{{Id: id, Source: "/fuzz", Data: data}}}
		if over.json {
			if _, err := (protojson.MarshalOptions{Resolver: e.g.types}).Marshal(request); err != nil {
				continue
			}
		}
		e.outcomes["events sent"]++
		r := e.client.try(over, "PublisherService.Publish", request)
		if r.code != codes.OK {
			e.outcomes["events: "+r.outcome()]++
			continue
		}
		response := new(tidingsv1.PublishResponse)
		if over.json {
			data = &anypb.Any{TypeUrl: data.GetTypeUrl()}
			if err := protojson.Unmarshal(r.messages[0], response); err != nil {
				e.t.Fatal(err)
			}
		} else {
			unmarshal(e.client, r.messages, response)
		}
		e.stored[response.GetReceipts()[0].GetSequence()] = data
		e.outcomes["events taken"]++
	}
}

// check reads everything that was taken, in binary and in JSON, through each door.
func (e *evolution) check() {
	e.t.Helper()
	everything := &tidingsv1.ReadRequest{Topic: evolvingTopic, Start: fromEarliest(), Stop: &tidingsv1.StopPosition{Position: &tidingsv1.StopPosition_CaughtUp{CaughtUp: true}}}
	inBinary := make(map[int64]*anypb.Any)
	for _, message := range e.client.ask(overBinary, "ReaderService.Read", everything) {
		for _, event := range unmarshal(e.client, [][]byte{message}, new(tidingsv1.ReadResponse)).GetEvents().GetEvents() {
			inBinary[event.GetSequence()] = event.GetEvent().GetData()
		}
	}
	for sequence, data := range e.stored {
		read := inBinary[sequence]
		if read == nil || data.Value != nil && !bytes.Equal(read.GetValue(), data.GetValue()) {
			e.t.Errorf("event %d was %v and is %v", sequence, data, read)
		}
	}
	inJSON := make(map[int64]recorded)
	for _, message := range e.client.ask(overJSON, "ReaderService.Read", everything) {
		var frame struct {
			Events batch `json:"events"`
		}
		e.decode(message, &frame)
		for _, event := range frame.Events.Events {
			inJSON[event.Sequence] = event
		}
	}
	for _, sequence := range slices.Sorted(maps.Keys(inBinary)) {
		data := inBinary[sequence]
		e.judge(data, inJSON[sequence])
		if e.g.one(4) {
			var got struct {
				Recorded recorded `json:"recorded"`
			}
			e.decode(e.client.ask(overJSON, "ReaderService.GetEvent", &tidingsv1.GetEventRequest{Topic: evolvingTopic, Sequence: sequence})[0], &got)
			e.judge(data, got.Recorded)
			// What it names can be fetched, whatever was registered since.
			name := data.GetTypeUrl()[strings.LastIndexByte(data.GetTypeUrl(), '/')+1:]
			e.client.ask(overJSON, "SchemaService.GetEventType", &tidingsv1.GetEventTypeRequest{Name: name, Revision: got.Recorded.Revision})
			e.outcomes["revisions fetched"]++
		}
	}
	e.client.consume(&tidingsv1.Subscription{Name: "all"})
	e.outcomes["events read"] += len(inBinary)
}

func (e *evolution) decode(text []byte, into any) {
	e.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		e.t.Fatalf("%v in %.1000q", err, text)
	}
}

// judge holds what was read in JSON against what the present schema says of the
// same bytes.
func (e *evolution) judge(data *anypb.Any, read recorded) {
	e.t.Helper()
	var url string
	if json.Unmarshal(read.Event.Data["@type"], &url) != nil || url != data.GetTypeUrl() {
		e.t.Errorf("%v is %q in JSON", data, read.Event.Data)
		return
	}
	message, err := e.g.types.FindMessageByURL(data.GetTypeUrl())
	if err != nil {
		e.outcomes["events read without their type"]++
		return
	}
	if (proto.UnmarshalOptions{Resolver: e.g.types}).Unmarshal(data.GetValue(), message.New().Interface()) != nil {
		e.outcomes["events read that no longer parse"]++
		return
	}
	text, err := protojson.MarshalOptions{Resolver: e.g.types}.Marshal(data)
	if err != nil {
		e.outcomes["events read that no longer have a form in JSON"]++
		return
	}
	var want, got any
	e.decode(text, &want)
	shown, err := json.Marshal(read.Event.Data)
	if err != nil {
		e.t.Fatal(err)
	}
	e.decode(shown, &got)
	if !reflect.DeepEqual(got, want) {
		e.t.Errorf("in JSON it is %s, want %s", shown, text)
	}
}
