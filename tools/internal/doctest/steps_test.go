package doctest

import (
	"reflect"
	"testing"
)

func TestSteps(t *testing.T) {
	for name, test := range map[string]struct {
		language, text string
		want           []step
	}{
		"each line a command": {"sh", "echo a\n\necho b # why\n", []step{
			{command: "echo a", line: 5}, {command: "echo b # why", line: 7},
		}},
		"commands of several lines": {"sh", "cat <<'EOF'\na\n\n$ b\nEOF\necho 'c\nd'\necho e \\\n  f\n", []step{
			{command: "cat <<'EOF'\na\n\n$ b\nEOF", line: 5}, {command: "echo 'c\nd'", line: 10}, {command: "echo e \\\n  f", line: 12},
		}},
		"output belongs to the command": {"console", "$ seq 1\n1\n$ true\n$ printf 'b\n\nc'\nb\n\nc\n", []step{
			{command: "seq 1", output: "1\n", shown: true, line: 5},
			{command: "true", shown: true, line: 7},
			{command: "printf 'b\n\nc'", output: "b\n\nc\n", shown: true, line: 8},
		}},
		"an interrupt": {"console", "^C\nstopping\n$ true\n", []step{
			{command: "^C", output: "stopping\n", shown: true, line: 5},
			{command: "true", shown: true, line: 7},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := steps(t, test.language, test.text, 5); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}
