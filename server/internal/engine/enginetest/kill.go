package enginetest

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/tidings/server/internal/engine"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

const (
	// placeVariable tells a process that it is to append until it is killed, and
	// where the storage is.
	placeVariable = "TIDINGS_ENGINETEST_PLACE"
	// killRounds is how often a process is killed, each time after killAfter
	// batches were acknowledged.
	killRounds = 3
	killAfter  = 200
	// acknowledgement begins a line that says what was stored.
	acknowledgement = "acknowledged"
)

// Kill kills processes that append, and looks for what was acknowledged. place
// makes a storage, and open opens the one at a place. The test that calls it does
// nothing else: it is what the processes run too.
func Kill(t *testing.T, place func(t *testing.T) string, open func(t *testing.T, place string) engine.Engine) {
	if at := os.Getenv(placeVariable); at != "" {
		appendUntilKilled(t, open(t, at))
		return
	}
	at := place(t)
	e := open(t, at)
	for name, kind := range killedTopics {
		newTopic(t, e, name, dedupe(kind))
	}
	e.Close()
	acknowledged := make(map[string]map[string]int64) // By topic and event.
	for name := range killedTopics {
		acknowledged[name] = make(map[string]int64)
	}
	for round := range killRounds {
		killOne(t, at, round, acknowledged)
		e := open(t, at)
		for name := range killedTopics {
			wantAcknowledged(t, e, name, acknowledged[name])
		}
		e.Close()
	}
}

// killedTopics are the topics that are appended to.
var killedTopics = map[string]optionsv1.Dedupe{
	"requests": optionsv1.Dedupe_DEDUPE_REQUEST,
	"events":   optionsv1.Dedupe_DEDUPE_EVENT,
}

const killedBatch = 3

// appendUntilKilled appends batches of killedBatch events and says which were
// acknowledged.
func appendUntilKilled(t *testing.T, e engine.Engine) {
	t.Helper()
	round := os.Getenv(placeVariable + "_ROUND")
	topics := make(map[string]*engine.Topic)
	for name := range killedTopics {
		topic, err := e.Topic(t.Context(), name)
		noErr(t, err)
		topics[name] = topic
	}
	const writers = 8
	for _, err := range together(writers, func(i int) error {
		for number := 0; ; number++ {
			for name, topic := range topics {
				id := fmt.Sprintf("%s.%d.%d", round, i, number)
				started, err := e.Start(t.Context(), topic, encode(events(id+".0", id+".1", id+".2")...), nil)
				if err != nil {
					return err
				}
				appended, err := started.Wait(t.Context())
				if err != nil {
					return err
				}
				line := []string{acknowledgement, name}
				for j := range killedBatch {
					line = append(line, fmt.Sprintf("%s.%d %d", id, j, appended.Of(j).Sequence))
				}
				fmt.Fprintln(os.Stdout, strings.Join(line, " "))
			}
		}
	}) {
		noErr(t, err)
	}
}

// killOne runs a process, kills it, and notes what it said.
func killOne(t *testing.T, place string, round int, acknowledged map[string]map[string]int64) {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // It is this test.
	process.Env = append(os.Environ(), placeVariable+"="+place, fmt.Sprintf("%s_ROUND=%d", placeVariable, round))
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	noErr(t, err)
	noErr(t, process.Start())
	lines, said := bufio.NewReader(out), 0
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // What it said before it was killed is read to the end. A line may be cut off.
		}
		noErr(t, err)
		fields := strings.Fields(line)
		if len(fields) != 2+2*killedBatch || fields[0] != acknowledgement {
			continue // It is the testing package's.
		}
		for i := 2; i < len(fields); i += 2 {
			sequence, err := strconv.ParseInt(fields[i+1], 10, 64)
			noErr(t, err)
			acknowledged[fields[1]][fields[i]] = sequence
		}
		said++
		if said == killAfter {
			noErr(t, process.Process.Kill())
		}
	}
	if err = process.Wait(); said < killAfter {
		t.Fatalf("it ended by itself after %d batches: %v", said, err)
	}
}

// wantAcknowledged looks for what was acknowledged, and that no batch is there in
// part or twice.
func wantAcknowledged(t *testing.T, e engine.Engine, name string, acknowledged map[string]int64) {
	t.Helper()
	topic, err := e.Topic(testContext(t), name)
	noErr(t, err)
	there, batches := inBatches(t, e, topic)
	// What was in flight when the process was killed may be stored just now.
	for end := time.Now().Add(killSettles); slices.ContainsFunc(slices.Collect(maps.Values(batches)), partial) && time.Now().Before(end); {
		there, batches = inBatches(t, e, topic)
	}
	for id, sequence := range acknowledged {
		if got, ok := there[id]; !ok || got != sequence {
			t.Errorf("%s: event %s is at %d (%t), acknowledged at %d", name, id, got, ok, sequence)
		}
	}
	for id, count := range batches {
		if partial(count) {
			t.Errorf("%s: %d of %d events of batch %s are there", name, count, killedBatch, id)
		}
	}
	t.Logf("%s: %d events acknowledged, %d there", name, len(acknowledged), len(there))
}

// killSettles is how long a cluster may take to store what it was given whole.
const killSettles = 10 * time.Second

func partial(count int) bool { return count != killedBatch }

// inBatches returns the places of the events of a topic, and how many of each
// batch there are.
func inBatches(t *testing.T, e engine.Engine, topic *engine.Topic) (there map[string]int64, batches map[string]int) {
	t.Helper()
	there, batches = make(map[string]int64), make(map[string]int)
	for _, one := range all(t, e, topic) {
		if other, twice := there[one.id]; twice {
			t.Errorf("%s: event %s is at %d and at %d", topic.Name, one.id, other, one.sequence)
		}
		there[one.id] = one.sequence
		batches[one.id[:strings.LastIndexByte(one.id, '.')]]++
	}
	return there, batches
}
