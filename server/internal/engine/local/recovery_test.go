package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"example.com/tidings/server/internal/engine"
)

// diskConfig is of a storage in a directory of the machine.
func diskConfig(t testing.TB, dir string) Config {
	t.Helper()
	cfg := testConfig(t, nil)
	cfg.DataDir = dir
	return cfg
}

func openConfig(t testing.TB, cfg Config) *Engine {
	t.Helper()
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// refused opens a storage, which has to be damaged at a place.
func refused(t *testing.T, cfg Config, place string) {
	t.Helper()
	e, err := Open(t.Context(), cfg)
	if err == nil {
		e.Close()
	}
	damage, ok := errors.AsType[*engine.DamageError](err)
	if !ok || !strings.Contains(damage.Place, place) {
		t.Fatalf("opened with %v; want damage of %s", err, place)
	}
}

func replaceDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// olderStore returns a data directory whose store is of an earlier time than its
// mark.
func olderStore(t *testing.T, cfg Config) Config {
	t.Helper()
	earlier := t.TempDir()
	e := openConfig(t, cfg)
	topic := newTopic(t, e, "orders", nil)
	putMany(t, e, topic, 0, 10)
	replaceDir(t, filepath.Join(cfg.DataDir, storeDir), earlier)
	putMany(t, e, topic, 10, 10)
	e.Close()
	replaceDir(t, earlier, filepath.Join(cfg.DataDir, storeDir))
	return cfg
}

func TestMissingCommitsAreDamage(t *testing.T) {
	t.Parallel()
	for _, sync := range []engine.Sync{engine.SyncFsync, engine.SyncWritten} {
		cfg := diskConfig(t, t.TempDir())
		cfg.Sync = sync
		refused(t, olderStore(t, cfg), "log")
		refused(t, cfg, "log") // It isn't mended by trying.
	}
}

func TestMissingCommitsAfterTheMachineStopped(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	cfg.Sync = engine.SyncWritten
	cfg = olderStore(t, cfg)
	path := filepath.Join(cfg.DataDir, markName)
	slot, _, err := readMark(vfs.Default, path)
	if err != nil {
		t.Fatal(err)
	}
	slot.clean, slot.boot = false, "another"
	if _, err := createMark(vfs.Default, cfg.DataDir, slot); err != nil {
		t.Fatal(err)
	}

	e := openConfig(t, cfg)
	defer e.Close()
	if lost := e.Status().Lost; lost != 1 {
		t.Errorf("lost %d times", lost)
	}
	topic, err := e.Topic(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	first := put(t, e, topic, keyedEvent{id: "next"}).First
	if first < jumpBy {
		t.Errorf("the next event has sequence %d", first)
	}
	state, err := e.State(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for position, holds := range map[int64]bool{10: true, 11: false, 20: false, first: true} {
		if state.Holds(position) != holds {
			t.Errorf("position %d: %v", position, !holds)
		}
	}
	if n := len(readAll(t, e, topic, engine.ReadFrom{})); n != 11 {
		t.Errorf("%d records", n)
	}
}

func TestJumpOfABackupRestoredTwice(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	e := openConfig(t, cfg)
	topic := newTopic(t, e, "orders", nil)
	put(t, e, topic, keyedEvent{id: "1"})
	e.Close()
	backup := t.TempDir()
	replaceDir(t, cfg.DataDir, backup)
	slot, _, err := readMark(vfs.Default, filepath.Join(backup, markName))
	if err != nil {
		t.Fatal(err)
	}
	slot.restored = true
	if _, err := createMark(vfs.Default, backup, slot); err != nil {
		t.Fatal(err)
	}
	var firsts []int64
	for range 2 {
		replaceDir(t, backup, cfg.DataDir)
		e := openConfig(t, cfg)
		first := put(t, e, topic, keyedEvent{id: "after"}).First
		e.Close()
		e = openConfig(t, cfg) // Once is enough.
		if next := put(t, e, topic, keyedEvent{id: "then"}).First; next != first+1 {
			t.Errorf("sequence %d after %d", next, first)
		}
		e.Close()
		firsts = append(firsts, first)
	}
	if firsts[0] < jumpBy || firsts[1] < firsts[0]+2 {
		t.Errorf("sequences begin again at %d", firsts)
	}
}

func TestDamagedMark(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	path := filepath.Join(cfg.DataDir, markName)
	e := openConfig(t, cfg)
	newTopic(t, e, "orders", nil)
	e.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 20, 90, 95, 3000, markSpacing, markSpacing + 40} {
		broken := append([]byte(nil), whole...)
		broken[at] ^= 4
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		e := openConfig(t, cfg)
		if n := e.Status().Damages; n != 1 {
			t.Errorf("byte %d: %d damages", at, n)
		}
		e.Close()
	}
	for _, content := range [][]byte{nil, whole[:50], make([]byte, markBytes)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, cfg, markName)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, markName)
}

func TestStoreIsGone(t *testing.T) {
	t.Parallel()
	cfg := diskConfig(t, t.TempDir())
	e := openConfig(t, cfg)
	newTopic(t, e, "orders", nil)
	e.Close()
	markers, err := filepath.Glob(filepath.Join(cfg.DataDir, storeDir, "marker.manifest.*"))
	if err != nil || len(markers) != 1 {
		t.Fatal(markers, err)
	}
	if err := os.Remove(markers[0]); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, storeDir)
	if err := os.RemoveAll(filepath.Join(cfg.DataDir, storeDir)); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, storeDir)
	if err := os.Mkdir(filepath.Join(cfg.DataDir, storeDir), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, storeDir)
}

// TestCrashes takes the power from a storage again and again.
func TestCrashes(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64() //nolint:gosec // Any will do.
	t.Logf("seed %d", seed)
	for _, sync := range []engine.Sync{engine.SyncFsync, engine.SyncWritten} {
		for _, kept := range []int{0, 30, 90} {
			t.Run(fmt.Sprintf("%s, %d %% of what wasn't synced", sync, kept), func(t *testing.T) {
				t.Parallel()
				crashes(t, sync, kept, rand.New(rand.NewPCG(seed, uint64(kept)))) //nolint:gosec // It is to repeat itself.
			})
		}
	}
}

func crashes(t *testing.T, sync engine.Sync, kept int, rng *rand.Rand) {
	cfg := testConfig(t, vfs.NewCrashableMem())
	cfg.Sync = sync
	stored := make(map[int64]string) // What was answered for, by sequence.
	given := int64(0)                // The highest sequence that was given out.
	e := openConfig(t, cfg)
	topic := newTopic(t, e, "orders", nil)
	e.Close()
	for run := range 8 {
		cfg.boot = fmt.Sprint("boot ", run)
		e := openConfig(t, cfg)
		found := make(map[int64]string)
		for _, record := range readAll(t, e, topic, engine.ReadFrom{}) {
			for i, text := range textsOf(t, record) {
				found[record.First+int64(i)] = text
			}
		}
		for sequence, text := range found {
			if want, ok := stored[sequence]; ok && want != text {
				t.Fatalf("event %d is %q instead of %q", sequence, text, want)
			}
		}
		if sync == engine.SyncFsync {
			for sequence, text := range stored {
				if found[sequence] != text {
					t.Fatalf("run %d: event %d is lost", run, sequence)
				}
			}
		}
		stored = found
		crashAt := rng.IntN(40)
		var crashed *vfs.MemFS
		for i := range 40 {
			text := fmt.Sprint(run, " ", i, strings.Repeat(".", rng.IntN(20_000)))
			appended := put(t, e, topic, keyedEvent{id: fmt.Sprint(run, " ", i), key: "k", text: text})
			if appended.First <= given {
				t.Fatalf("run %d: sequence %d was given out twice", run, appended.First)
			}
			given = appended.First
			stored[appended.First] = text
			if i == crashAt {
				// Another is under way.
				under, err := e.Start(t.Context(), topic, batchOf(t, keyedEvent{id: fmt.Sprint(run, " under way"), text: "under way"}), nil)
				if err != nil {
					t.Fatal(err)
				}
				crashed = cfg.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
				if _, err := under.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		e.Close()
		cfg.fs = crashed
	}
}
