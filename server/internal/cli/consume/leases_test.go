package consume

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/clitest"
)

// However long the reasons are, a request with them isn't too large for a server.
func TestLongReasonsAreSentInParts(t *testing.T) {
	const count = 200
	l := leases{held: make(map[string]*lease)}
	for i := range int64(count) {
		one := l.add(clitest.Delivery(i+1), time.Now())
		l.decide(one, nack(tidingsv1.NackKind_NACK_KIND_RETRY, strings.Repeat("x", 2*maxLinePart)))
	}
	sent := 0
	for l.pending() {
		demands := l.next(time.Minute, time.Now())
		sent += len(demands)
		if size := proto.Size(&tidingsv1.SettlementBatch{Settlements: settlements(demands)}); len(demands) == 0 || size > 1<<20 {
			t.Fatalf("%d settlements have %d bytes", len(demands), size)
		}
	}
	if sent != count {
		t.Errorf("%d of %d are sent", sent, count)
	}
}
