package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// schemaFile follows the file of --schemas. Its fields are required.
type schemaFile struct {
	path string
	// judged is the content that was last put in force or refused.
	judged  []byte
	replace func(context.Context, *schema.Set) error
	count   func(telemetry.Reload)
	log     *slog.Logger
}

// settle is for how long nothing happens to a file before it is read: it may be
// written in pieces.
const settle = 100 * time.Millisecond

// follow puts the schemas of the file in force whenever it changes, until the
// context ends or stop is called, which waits for that.
func (f *schemaFile) follow(ctx context.Context) (stop func(), err error) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		// The directory, since files are replaced by others of the same name, or
		// are links through ones that are.
		err = watcher.Add(filepath.Dir(f.path))
	}
	if err != nil {
		return nil, fmt.Errorf("schemas: following %s: %w", f.path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	guard.Go(func() error { return f.watch(ctx, watcher) }, func(err error) {
		guard.Log(f.log, "following the file of --schemas")(err)
		close(ended)
	})
	return func() {
		cancel()
		<-ended
		_ = watcher.Close() // Nothing was written through it.
	}, nil
}

func (f *schemaFile) watch(ctx context.Context, watcher *fsnotify.Watcher) error {
	settled := time.NewTimer(0) // It may have changed since it was read.
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			settled.Reset(settle)
		case err := <-watcher.Errors:
			// What was missed may have been about the file.
			f.log.Warn("following the file of --schemas", "path", f.path, "error", err)
			settled.Reset(settle)
		case <-settled.C:
			if err := guard.Do(func() error { f.look(ctx); return nil }); err != nil {
				f.log.Error("following the file of --schemas", "path", f.path, "error", err)
			}
		}
	}
}

// look reads the file and puts it in force, where it has changed.
func (f *schemaFile) look(ctx context.Context) {
	content, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return // It is being replaced, or it will be missed at the next start.
	}
	if err == nil && bytes.Equal(content, f.judged) {
		return
	}
	outcome := telemetry.ReloadFailed
	if err == nil {
		outcome, err = f.put(ctx, content)
	}
	if err != nil && ctx.Err() != nil {
		return
	}
	if outcome != telemetry.ReloadFailed {
		f.judged = content
	}
	f.count(outcome)
	if err == nil {
		f.log.Info("schemas reloaded", "path", f.path)
		return
	}
	var violations []string
	if refused, ok := errors.AsType[*service.Error](err); ok {
		for _, field := range refused.Fields {
			violations = append(violations, fmt.Sprintf("%s: %s: %s", field.GetField(), field.GetRuleId(), field.GetDescription()))
		}
	}
	f.log.Error("schemas not reloaded, the old ones stay in force", "path", f.path, "error", err, "violations", violations)
}

// put puts the schemas of an image in force.
func (f *schemaFile) put(ctx context.Context, image []byte) (telemetry.Reload, error) {
	types, err := readTypes(f.path, image)
	if err != nil {
		return telemetry.ReloadRefused, err
	}
	err = f.replace(ctx, types)
	if err == nil {
		return telemetry.ReloadApplied, nil
	}
	if refused, ok := errors.AsType[*service.Error](err); ok && verdict(refused.Reason) {
		return telemetry.ReloadRefused, err
	}
	return telemetry.ReloadFailed, err
}

// verdict says whether a reason is about the file, so that the same content will
// be refused again.
func verdict(reason service.Reason) bool {
	return reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INVALID ||
		reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INCOMPATIBLE ||
		reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_CHECKS_UNAVAILABLE
}
