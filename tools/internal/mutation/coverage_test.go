package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
)

// TestEveryRuleHasAPair holds the data files to the configuration: what Buf says
// that it applies has a pair, with no exception, and what has a pair is applied.
func TestEveryRuleHasAPair(t *testing.T) {
	g := newGround(t)
	pairs := readPairs(t)
	for _, command := range []string{"lint", "breaking"} {
		rules, err := g.rules(t.Context(), command)
		if err != nil {
			t.Fatal(err)
		}
		tried := map[string]bool{}
		for _, p := range pairs {
			if p.command == command {
				tried[p.Rule] = true
			}
		}
		for rule := range rules {
			if !tried[rule] {
				t.Errorf("buf %s applies %s, and no pair in testdata/%[1]s tries it", command, rule)
			}
		}
		for rule := range tried {
			if !rules[rule] {
				t.Errorf("testdata/%s has pairs of %s, which Buf doesn't apply", command, rule)
			}
		}
	}
}

// rules returns the ids of the rules that buf.yaml makes Buf apply, by what Buf
// itself says.
func (g ground) rules(ctx context.Context, command string) (map[string]bool, error) {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, g.buf, "config", "ls-"+command+"-rules",
		"--configured-only", "--format=json", "--config", g.config)
	cmd.Dir, cmd.Stderr = g.dir, &complaint
	report, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf config ls-%s-rules: %w: %s", command, err, &complaint)
	}
	rules := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(report)); decoder.More(); {
		var rule struct {
			ID string `json:"id"`
		}
		if err := decoder.Decode(&rule); err != nil {
			return nil, err
		}
		rules[rule.ID] = true
	}
	return rules, nil
}
