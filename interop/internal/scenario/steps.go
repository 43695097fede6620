// Package scenario is what every client has to show: its steps, the values that
// it publishes and the golden vectors that it decodes. It finds out on the server
// and from the files that a client wrote whether what the client says is so.
package scenario

import "slices"

// The steps that are checked apart from what the client says.
const (
	stepTopic      = "topic"
	stepPublish    = "publish"
	stepRefused    = "refused"
	stepTail       = "tail"
	stepConsume    = "consume"
	stepGolden     = "golden"
	stepGoldenJSON = "golden-json"
)

// Steps are all steps, in their order.
var Steps = []string{
	stepTopic, stepPublish, stepRefused, "read", stepTail, stepConsume, "deadline", "cancel", stepGolden, stepGoldenJSON,
}

// ServerSteps are those that show a server of TopicService and PublisherService
// alone.
var ServerSteps = []string{stepTopic, stepPublish, stepRefused}

// IsStep reports whether a name is that of a step.
func IsStep(name string) bool { return slices.Contains(Steps, name) }

// A State is what became of a step.
type State string

// What becomes of a step.
const (
	OK            State = "ok"
	NotApplicable State = "n/a"
	Failed        State = "fail"
)

// An Outcome is what became of a step, and why. OK has no reason.
type Outcome struct {
	State  State
	Reason string
}

// Outcomes are those of a run, by step.
type Outcomes map[string]Outcome

// ok reports whether the client says that it did a step.
func (o Outcomes) ok(step string) bool { return o[step].State == OK }

// fail makes a step that the client says it did a failed one.
func (o Outcomes) fail(step string, err error) {
	if err != nil && o.ok(step) {
		o[step] = Outcome{State: Failed, Reason: "the runner: " + err.Error()}
	}
}
