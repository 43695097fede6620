package guard

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestPanicBecomesAnError(t *testing.T) {
	ended := make(chan error)
	tell := func(err error) { ended <- err }
	panics := func() error { panic("why") }
	var group Group
	for name, start := range map[string]func(func() error){
		"Do":    func(f func() error) { go tell(Do(f)) },
		"Func":  func(f func() error) { go tell(Func(f)()) },
		"Go":    func(f func() error) { Go(f, tell) },
		"Group": func(f func() error) { group.Go(f, tell) },
	} {
		start(panics)
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "why") || !strings.Contains(err.Error(), "guard_test.go") {
			t.Errorf("%s: a panic is %v", name, err)
		}
		start(func() error { return io.EOF })
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("%s: an error is %v", name, err)
		}
		start(func() error { return nil })
		if err := <-ended; err != nil {
			t.Errorf("%s: success is %v", name, err)
		}
	}
	group.Wait()
}

func TestLog(t *testing.T) {
	var text strings.Builder
	tell := Log(slog.New(slog.NewTextHandler(&text, nil)), "sweeping")
	tell(nil)
	if text.Len() > 0 {
		t.Errorf("success is logged: %s", text.String())
	}
	tell(io.EOF)
	if !strings.Contains(text.String(), "sweeping") || !strings.Contains(text.String(), "EOF") {
		t.Errorf("logged: %s", text.String())
	}
}
