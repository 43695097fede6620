package daemon_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/daemon"
	"example.com/tidings/server/internal/engine/local"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// What was published, read and delivered after a backup was made is nothing to
// the storage that is restored from it: nothing new has its sequence, its cursor
// is refused, and its token settles nothing, however far the topic grows.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := daemon.DefaultConfig()
	cfg.DataDir = filepath.Join(dir, "data")
	server := start(t, cfg)
	c := server.clients(t)
	newWork(t, c, tidingsv1.Ordering_ORDERING_NONE, func(s *tidingsv1.Subscription) { s.AckDeadline = durationpb.New(time.Second) })
	kept := publishWork(t, c, 3, 3)
	if err := local.Backup(t.Context(), cfg.DataDir, filepath.Join(dir, "backup")); err != nil {
		t.Fatal(err)
	}
	lost := publishWork(t, c, 2, 2)
	delivered := pull(t, c, len(kept)+len(lost))
	cursor := delivered[len(delivered)-1].GetRecorded().GetCursor()
	server.end(syscall.SIGTERM)

	cfg.DataDir = filepath.Join(dir, "restored")
	if err := local.Restore(t.Context(), filepath.Join(dir, "backup"), cfg.DataDir); err != nil {
		t.Fatal(err)
	}
	server = start(t, cfg)
	c = server.clients(t)
	fresh := publishWork(t, c, 10, 10)
	if fresh[0] <= lost[len(lost)-1] {
		t.Errorf("the sequence %d is given out again: %d", lost, fresh)
	}
	settle(t, c, tidingsv1.SettlementStatus_SETTLEMENT_STATUS_MALFORMED, acks(delivered)...)
	expectSame(t, pull(t, c, len(kept)+len(fresh)), append(kept, fresh...))
	stream, err := tidingsv1.NewReaderServiceClient(server.dial(t)).Read(t.Context(), &tidingsv1.ReadRequest{
		Topic: work, Start: &tidingsv1.StartPosition{Position: &tidingsv1.StartPosition_Cursor{Cursor: cursor}},
	})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a cursor from what was lost: %v", err)
	}
}
