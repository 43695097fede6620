package main

import (
	"strings"
	"testing"
)

// Every broker that is installed here is measured; NSQ always is.
func TestPeersMeasure(t *testing.T) {
	rows := 0
	for _, b := range allBrokers {
		if _, err := b.find(); err == nil {
			rows += 2
			if b.publishes {
				rows--
			}
		} else {
			t.Logf("without %s: %v", b.name, err)
		}
	}
	if rows == 0 {
		t.Fatal("not even the broker that this program is")
	}
	found := wantRows(t, peersSuite, 2*4+rows)
	for _, l := range found.Rows {
		if l.Note == "" {
			t.Errorf("%s: what a confirmation means isn't said", l.Name)
		}
	}
}

// Each variant is measured, against the first.
func TestComparedSuitesMeasure(t *testing.T) {
	for _, c := range []struct {
		suite    suite
		variants int
		first    string
	}{{accessSuite, 5, "nothing"}, {tracesSuite, 3, "no traces"}, {quotasSuite, 2, "no quotas"}} {
		for _, l := range wantRows(t, c.suite, c.variants*len(comparedWorks)).Rows {
			if !strings.HasPrefix(l.Against, c.first+", ") {
				t.Errorf("%s: against %q", l.Name, l.Against)
			}
		}
	}
}

// One and three replicas are measured on a cluster, whose streams have three copies.
func TestClusterMeasures(t *testing.T) {
	found := wantRows(t, clusterSuite, 4)
	for _, l := range found.Rows {
		if l.Spent < 0 {
			t.Errorf("%s: %v µs of the servers", l.Name, l.Spent)
		}
	}
}

// Events of each size are stored and read, and so are those of many topics.
func TestSizesAndTopicsMeasure(t *testing.T) {
	wantRows(t, sizesSuite, 4*len(sizes))
	counts := topicCounts
	t.Cleanup(func() { topicCounts = counts })
	topicCounts = []int{1, 20}
	wantRows(t, topicsSuite, 2*len(topicCounts))
}

func TestPlainEventsHaveTheirSize(t *testing.T) {
	for _, size := range sizes {
		data, err := newPlainDataset(200, 100, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(data.encodedRequests) != 2 || len(data.encoded) != 200 {
			t.Errorf("%d bytes: %d requests of %d events", size, len(data.encodedRequests), len(data.encoded))
		}
		for i, encoded := range data.encoded {
			if len(encoded) != size {
				t.Fatalf("event %d has %d bytes, want %d", i, len(encoded), size)
			}
		}
	}
	if _, err := newPlainDataset(1, 1, smallestPlain-1); err == nil {
		t.Error("an event that is too small was made")
	}
}
