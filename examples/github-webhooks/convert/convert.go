// Package convert turns the JSON payloads of GitHub's webhooks into the typed
// events of github.webhooks.v1, and events back into payloads.
//
// It is strict, because a field that is dropped without a word is lost: a field
// that the event's message doesn't have, and a value that its field can't hold,
// are errors that name the place. The standard JSON mapping of protobuf, which
// the libraries implement, is not what GitHub sends: it has other field names
// and writes large integers as strings, and it doesn't know GitHub's four ways
// to write a time. So this package walks the message's descriptor itself.
package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	webhooksv1 "example.com/tidings/examples/events/gen/github/webhooks/v1"
)

// ErrUnknownKind says that there is no event for a kind of delivery.
var ErrUnknownKind = errors.New("no event for this kind of delivery")

// kinds has the event of each kind of delivery, by the name that GitHub sends
// in the header X-GitHub-Event.
var kinds = map[string]proto.Message{
	"check_run":                   (*webhooksv1.CheckRunEvent)(nil),
	"check_suite":                 (*webhooksv1.CheckSuiteEvent)(nil),
	"commit_comment":              (*webhooksv1.CommitCommentEvent)(nil),
	"create":                      (*webhooksv1.CreateEvent)(nil),
	"delete":                      (*webhooksv1.DeleteEvent)(nil),
	"deployment":                  (*webhooksv1.DeploymentEvent)(nil),
	"deployment_status":           (*webhooksv1.DeploymentStatusEvent)(nil),
	"fork":                        (*webhooksv1.ForkEvent)(nil),
	"gollum":                      (*webhooksv1.GollumEvent)(nil),
	"issue_comment":               (*webhooksv1.IssueCommentEvent)(nil),
	"issues":                      (*webhooksv1.IssuesEvent)(nil),
	"label":                       (*webhooksv1.LabelEvent)(nil),
	"member":                      (*webhooksv1.MemberEvent)(nil),
	"milestone":                   (*webhooksv1.MilestoneEvent)(nil),
	"ping":                        (*webhooksv1.PingEvent)(nil),
	"public":                      (*webhooksv1.PublicEvent)(nil),
	"pull_request":                (*webhooksv1.PullRequestEvent)(nil),
	"pull_request_review":         (*webhooksv1.PullRequestReviewEvent)(nil),
	"pull_request_review_comment": (*webhooksv1.PullRequestReviewCommentEvent)(nil),
	"pull_request_review_thread":  (*webhooksv1.PullRequestReviewThreadEvent)(nil),
	"push":                        (*webhooksv1.PushEvent)(nil),
	"release":                     (*webhooksv1.ReleaseEvent)(nil),
	"repository":                  (*webhooksv1.RepositoryEvent)(nil),
	"star":                        (*webhooksv1.StarEvent)(nil),
	"status":                      (*webhooksv1.StatusEvent)(nil),
	"watch":                       (*webhooksv1.WatchEvent)(nil),
	"workflow_dispatch":           (*webhooksv1.WorkflowDispatchEvent)(nil),
	"workflow_job":                (*webhooksv1.WorkflowJobEvent)(nil),
	"workflow_run":                (*webhooksv1.WorkflowRunEvent)(nil),
}

// Kinds lists the kinds of deliveries that have an event, in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Decode turns the payload of a delivery into its event.
//
// It fails with ErrUnknownKind for a kind without an event, with an error of
// the JSON library for a payload that is not one JSON object in UTF-8 with each
// name once, and else with one FieldError for each place in the payload that
// the event can't hold, joined. The event's own rules are not checked: that is
// the server's work.
//
// Null and the empty list become an absent field; Compare says what else may
// look different when the event is encoded again.
func Decode(kind string, payload []byte) (proto.Message, error) {
	prototype, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKind, kind)
	}
	document, err := parse(payload)
	if err != nil {
		return nil, err
	}
	object, ok := document.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("payload is %s, not an object", typeName(document))
	}
	event := prototype.ProtoReflect().New()
	var d decoder
	d.message(event, object, "")
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	return event.Interface(), nil
}

// Encode turns an event back into a payload: GitHub's names, its integers as
// numbers, every time in RFC 3339 and UTC.
func Encode(event proto.Message) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(encodeMessage(event.ProtoReflect())); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// githubNames has the fields whose names in GitHub's JSON a proto file can't
// use, by that name. All others are the same in both.
var githubNames = map[string]protoreflect.Name{
	"+1":     "plus_one",
	"-1":     "minus_one",
	"_links": "links",
}

// protoNames is githubNames the other way round.
var protoNames = func() map[protoreflect.Name]string {
	names := make(map[protoreflect.Name]string, len(githubNames))
	for github, name := range githubNames {
		names[name] = github
	}
	return names
}()

// githubName gives the name of a field in GitHub's JSON.
func githubName(field protoreflect.FieldDescriptor) string {
	if name, ok := protoNames[field.Name()]; ok {
		return name
	}
	return string(field.Name())
}

// fieldByGithubName finds the field with a name in GitHub's JSON, or nil.
func fieldByGithubName(message protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if renamed, ok := githubNames[name]; ok {
		return message.Fields().ByName(renamed)
	}
	if _, ok := protoNames[protoreflect.Name(name)]; ok {
		return nil
	}
	return message.Fields().ByName(protoreflect.Name(name))
}

// parse reads one JSON document with its numbers as they are written.
//
// encoding/json by itself would alter some documents without a word: of a name
// that is there twice it keeps the last, and it replaces what is not UTF-8.
// protobuf's reader refuses both, so it goes first.
func parse(payload []byte) (any, error) {
	if err := protojson.Unmarshal(payload, new(structpb.Value)); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return nil, err
	}
	return document, nil
}
