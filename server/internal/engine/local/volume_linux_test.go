package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tidings/server/internal/engine"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

// smallVolume mounts a volume of 40 MB, or skips the test where it may not.
func smallVolume(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=41943040"); err != nil {
		t.Skipf("NOT CHECKED: a volume can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullVolume(t *testing.T) {
	dir := smallVolume(t)
	cfg := diskConfig(t, filepath.Join(dir, "data"))
	e := openConfig(t, cfg)
	kept, keptEvents := newTopic(t, e, "kept", nil), make(map[int64]string)
	subscription := newSubscription(t, e, "audit")
	journal := e.Journal(subscription)

	for round := range 3 {
		name := fmt.Sprint("filling-", round)
		topic, events := newTopic(t, e, name, nil), make(map[int64]string)
		text := filler(1000)
		keptEvents[put(t, e, kept, keyedEvent{id: name, text: text}).First] = text
		fill(t, e, topic, events)
		status := e.Status()
		t.Logf("round %d: %d events, %+v", round, len(events), status)
		if len(events) < 150 || status.FreeBytes < status.Reserve/2 || !status.Full || !errors.Is(e.Ready(t.Context()), engine.ErrFull) {
			t.Errorf("%d events, %+v, %v", len(events), status, e.Ready(t.Context()))
		}
		if _, err := appendTo(t.Context(), e, kept, batchOf(t, keyedEvent{id: "refused"})); !errors.Is(err, engine.ErrFull) {
			t.Errorf("appended with %v", err)
		}
		// Everything else goes on.
		holdsAll(t, e, topic, events)
		for i := range 100 {
			letters := []engine.DeadLetter{{Sequence: int64(i + 1), Data: []byte("letter")}}
			if err := journal.Append(t.Context(), [][]byte{fmt.Appendf(nil, "entry %d", i)}, letters, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := journal.Compact(t.Context(), [][]byte{[]byte("all")}); err != nil {
			t.Fatal(err)
		}
		changed, err := e.UpdateTopic(t.Context(), topic, &storagev1.TopicConfig{
			Uid: topic.Config.GetUid(), Dedupe: topic.Config.GetDedupe(), DedupeWindow: topic.Config.GetDedupeWindow(), Description: "full",
		})
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		e = openConfig(t, cfg) // At about 80 % of the volume.
		journal = e.Journal(subscription)
		if err := journal.Replay(t.Context(), func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		holdsAll(t, e, topic, events)
		holdsAll(t, e, kept, keptEvents)
		if err := e.DeleteTopic(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
		await(t, "room", func() bool { return e.Ready(t.Context()) == nil && e.Status().StoredBytes < 5<<20 })
	}
	holdsAll(t, e, kept, keptEvents)

	// Half full it takes events after a restart.
	half, events := newTopic(t, e, "half", nil), make(map[int64]string)
	for i := 0; e.Status().StoredBytes < 15<<20; i++ {
		text := filler(100_000)
		events[put(t, e, half, keyedEvent{id: fmt.Sprint(i), text: text}).First] = text
		if err := e.disk.look(0); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	e = openConfig(t, cfg)
	defer e.Close()
	text := filler(100_000)
	events[put(t, e, half, keyedEvent{id: "after", text: text}).First] = text
	holdsAll(t, e, half, events)
}

// At 95 % of the volume a storage starts, and is read.
func TestStartOnANearlyFullVolume(t *testing.T) {
	dir := smallVolume(t)
	cfg := diskConfig(t, filepath.Join(dir, "data"))
	cfg.MaxStoreBytes = 40 << 20
	e := openConfig(t, cfg)
	topic, events := newTopic(t, e, "orders", nil), make(map[int64]string)
	fill(t, e, topic, events)
	e.Close()
	file, err := os.Create(filepath.Join(dir, "others"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // Nobody reads it.
	var volume unix.Statfs_t
	if err := unix.Statfs(dir, &volume); err != nil {
		t.Fatal(err)
	}
	if free := int64(volume.Bavail) * volume.Bsize; free > 2<<20 {
		if err := unix.Fallocate(int(file.Fd()), 0, 0, free-2<<20); err != nil {
			t.Fatal(err)
		}
	}
	for run := range 3 { // What starting takes is given back.
		e = openConfig(t, cfg)
		holdsAll(t, e, topic, events)
		// What the last run's log took may be room enough.
		text := fmt.Sprint("run ", run)
		appended, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{id: text, text: text}))
		if err == nil {
			events[appended.First] = text
		} else if !errors.Is(err, engine.ErrFull) {
			t.Errorf("appended with %v", err)
		}
		e.Close()
	}
	if err := os.Remove(file.Name()); err != nil {
		t.Fatal(err)
	}
	e = openConfig(t, cfg)
	defer e.Close()
	holdsAll(t, e, topic, events)
	if err := e.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	await(t, "room", func() bool { return e.Ready(t.Context()) == nil && e.Status().StoredBytes < 5<<20 })
}

// A storage whose volume others have filled refuses events, or its process ends
// and says why; once there is room it has everything that was answered for.
func TestVolumeThatOthersFilled(t *testing.T) {
	dir := smallVolume(t)
	cfg := diskConfig(t, filepath.Join(dir, "data"))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessOnAVolume$") //nolint:gosec // It is this program.
	child.Env = append(os.Environ(), "TIDINGS_TEST_VOLUME="+cfg.DataDir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	child.Stderr = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stored, refused, entries := make(map[int64]string), false, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "event":
			var sequence int64
			var text string
			if _, err := fmt.Sscan(rest, &sequence, &text); err != nil {
				t.Fatal(err)
			}
			stored[sequence] = text
			if len(stored) == 500 {
				fillVolume(t, dir)
			}
		case "full":
			refused = true
		case "entry":
			entries++
		case "failed":
			t.Fatal(rest)
		}
	}
	err = child.Wait()
	t.Logf("%d events and %d entries; then %v", len(stored), entries, err)
	if err != nil && !strings.Contains(said.String(), "the disk failed a write") {
		t.Errorf("the process ended with %v and said %s", err, said.String())
	}
	if err == nil && !refused {
		t.Error("events weren't refused")
	}

	// Where there is still no room, it starts or says why it doesn't.
	if e, err := Open(t.Context(), cfg); err == nil {
		e.Close()
	} else if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("opened without room: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "others")); err != nil {
		t.Fatal(err)
	}
	e := openConfig(t, cfg)
	defer e.Close()
	topic, err := e.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[int64]string)
	for _, record := range readAll(t, e, topic, engine.ReadFrom{}) {
		for i, text := range textsOf(t, record) {
			found[record.First+int64(i)] = text
		}
	}
	for sequence, text := range stored {
		if found[sequence] != text {
			t.Fatalf("event %d is lost", sequence)
		}
	}
	journaled := 0
	subscription, err := e.Subscription(t.Context(), "audit")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Journal(subscription).Replay(t.Context(), func([]byte) error { journaled++; return nil }); err != nil {
		t.Fatal(err)
	}
	if journaled < entries {
		t.Errorf("%d entries of %d", journaled, entries)
	}
	put(t, e, topic, keyedEvent{id: "after"})
}

// fillVolume takes all that is free.
func fillVolume(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "others"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // It is to fail.
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestProcessOnAVolume is the process of TestVolumeThatOthersFilled.
func TestProcessOnAVolume(t *testing.T) {
	dir := os.Getenv("TIDINGS_TEST_VOLUME")
	if dir == "" {
		t.Skip("it is run by another test")
	}
	cfg := diskConfig(t, dir)
	cfg.fatal = nil
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	e := openConfig(t, cfg)
	topic := newTopic(t, e, "orders", nil)
	journal := e.Journal(newSubscription(t, e, "audit"))
	say := func(format string, args ...any) { _, _ = io.WriteString(os.Stdout, fmt.Sprintf(format, args...)+"\n") }
	ended := time.After(5 * time.Second)
	for i := 0; ; i++ {
		select {
		case <-ended:
			e.Close()
			return
		default:
		}
		text := filler(2000)
		appended, err := appendTo(t.Context(), e, topic, batchOf(t, keyedEvent{id: fmt.Sprint(i), text: text}))
		switch {
		case errors.Is(err, engine.ErrFull):
			say("full")
		case err != nil:
			say("failed %v", err)
		default:
			say("event %d %s", appended.First, text)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err = journal.Append(ctx, [][]byte{[]byte(filler(2000))}, nil, nil)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			say("full")
			if err := e.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
				say("failed ready with %v", err)
			}
			return // Whether the entry is stored isn't known.
		case err != nil:
			say("failed %v", err)
		default:
			say("entry")
		}
	}
}
