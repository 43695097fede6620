package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/guard"
	"example.com/tidings/server/internal/schema"
	"example.com/tidings/server/internal/service"
	"example.com/tidings/server/internal/telemetry"

	tidingsv1beta1 "example.com/tidings/gen/go/tidings/v1beta1"
)

// schemaFile follows what --schemas names. Its fields are required.
type schemaFile struct {
	source schemaSource
	// dataDir is the directory of the storage, where much happens.
	dataDir string
	// judged is the image that was last put in force or refused.
	judged  []byte
	replace func(context.Context, *schema.Set) error
	count   func(telemetry.Reload)
	log     *slog.Logger
}

// quietTime is for how long nothing happens to a file before it is read: it may be
// written in pieces.
const quietTime = 100 * time.Millisecond

// follow puts the schemas in force whenever they change, until the context ends or
// stop is called, which waits for that.
func (f *schemaFile) follow(ctx context.Context) (stop func(), err error) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = f.attend(watcher)
	}
	if err != nil {
		return nil, fmt.Errorf("schemas: following %s: %w", f.source.path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	guard.Go(func() error { return f.watch(ctx, watcher) }, func(err error) {
		guard.Log(f.log, "following --schemas")(err)
		close(ended)
	})
	return func() {
		cancel()
		<-ended
		_ = watcher.Close() // Nothing was written through it.
	}, nil
}

// attend watches the directories that have to be followed. That of one that is
// gone is forgotten by itself, and one that is watched already isn't watched twice.
func (f *schemaFile) attend(watcher *fsnotify.Watcher) error {
	list, err := f.source.directories(f.dataDir)
	if errors.Is(err, errTooManyDirectories) {
		f.log.Warn("following --schemas", "path", f.source.path, "error", err)
	} else if err != nil {
		return err
	}
	for i, dir := range list {
		if err := watcher.Add(dir); err != nil && (i == 0 || !errors.Is(err, os.ErrNotExist)) {
			return err
		}
	}
	return nil
}

func (f *schemaFile) watch(ctx context.Context, watcher *fsnotify.Watcher) error {
	quiet := time.NewTimer(0) // It may have changed since it was read.
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if f.source.concerns(event.Name) {
				quiet.Reset(quietTime)
			}
		case err := <-watcher.Errors:
			// What was missed may have been about the schemas.
			f.log.Warn("following --schemas", "path", f.source.path, "error", err)
			quiet.Reset(quietTime)
		case <-quiet.C:
			if err := guard.Do(func() error {
				err := f.attend(watcher) // Before it is read, so that no change is missed.
				f.look(ctx)
				return err
			}); err != nil {
				f.log.Error("following --schemas", "path", f.source.path, "error", err)
			}
		}
	}
}

// look reads the schemas and puts them in force, where they have changed.
func (f *schemaFile) look(ctx context.Context) {
	content, err := f.source.read(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return // It is being replaced, or it will be missed at the next start.
	}
	if err == nil && bytes.Equal(content, f.judged) {
		return
	}
	outcome := telemetry.ReloadFailed
	switch {
	case err == nil:
		outcome, err = f.put(ctx, content)
	case errors.Is(err, compat.ErrSources):
		outcome = telemetry.ReloadRefused
	}
	if err != nil && ctx.Err() != nil {
		return
	}
	if outcome != telemetry.ReloadFailed {
		f.judged = content
	}
	f.count(outcome)
	if err == nil {
		f.log.Info("schemas reloaded", "path", f.source.path)
		return
	}
	var violations []string
	if refused, ok := errors.AsType[*service.Error](err); ok {
		for _, field := range refused.Fields {
			violations = append(violations, fmt.Sprintf("%s: %s: %s", field.GetField(), field.GetRuleId(), field.GetDescription()))
		}
	}
	f.log.Error("schemas not reloaded, the old ones stay in force", "path", f.source.path, "error", err, "violations", violations)
}

// put puts the schemas of an image in force.
func (f *schemaFile) put(ctx context.Context, image []byte) (telemetry.Reload, error) {
	types, err := readTypes(f.source.path, image)
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

// verdict reports whether a reason is about the file, so that the same content will
// be refused again.
func verdict(reason service.Reason) bool {
	return reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INVALID ||
		reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_INCOMPATIBLE ||
		reason == tidingsv1beta1.ErrorReason_ERROR_REASON_SCHEMA_CHECKS_UNAVAILABLE
}
