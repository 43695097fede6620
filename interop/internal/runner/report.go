package runner

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"example.com/tidings/interop/internal/client"
	"example.com/tidings/interop/internal/scenario"
)

// stepLine is a line in which a client says what became of a step.
var stepLine = regexp.MustCompile(`^([a-z-]+) (ok|fail: .*|n/a: .*)$`)

// readReport reads what a client printed. What it says that it can't be taken at
// its word for is in problems.
func readReport(printed io.Reader) (outcomes scenario.Outcomes, problems []string) {
	outcomes = make(scenario.Outcomes)
	lines := bufio.NewScanner(printed)
	lines.Buffer(nil, maxOutput)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		match := stepLine.FindStringSubmatch(line)
		if len(match) != 3 || !scenario.IsStep(match[1]) {
			problems = append(problems, fmt.Sprintf("it printed a line that isn't one of a step: %.200q", line))
			continue
		}
		step := match[1]
		if _, ok := outcomes[step]; ok {
			problems = append(problems, "it printed two lines for "+step)
			continue
		}
		state, reason, _ := strings.Cut(match[2], ": ")
		outcomes[step] = scenario.Outcome{State: scenario.State(state), Reason: reason}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, "what it printed: "+err.Error())
	}
	return outcomes, problems
}

// complete makes failures of those of the steps that a client said nothing of, or
// left out without having said so in its interop.yaml.
func complete(outcomes scenario.Outcomes, steps []string, c client.Client) {
	for _, step := range steps {
		outcome, ok := outcomes[step]
		switch _, declared := c.NotApplicable[step]; {
		case !ok:
			outcomes[step] = scenario.Outcome{State: scenario.Failed, Reason: "the client said nothing of it"}
		case outcome.State == scenario.NotApplicable && !declared:
			outcomes[step] = scenario.Outcome{
				State:  scenario.Failed,
				Reason: fmt.Sprintf("not_applicable in %s doesn't name it, and the client left it out: %s", client.File, outcome.Reason),
			}
		}
	}
}

// needless returns the steps that a client says it can't do, and did.
func needless(c client.Client, runs []Run) []string {
	var steps []string
	for _, step := range scenario.Steps {
		if _, declared := c.NotApplicable[step]; !declared {
			continue
		}
		left := false
		for _, run := range runs {
			left = left || run.Outcomes[step].State != scenario.OK
		}
		if !left {
			steps = append(steps, step)
		}
	}
	return steps
}
