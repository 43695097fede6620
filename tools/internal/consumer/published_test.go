package consumer

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"example.com/tidings/internal/testserver"
	"example.com/tidings/tools/internal/moduleproxy"
	"example.com/tidings/tools/internal/workspace"
)

// scratch is a directory of all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "consumer-"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(status)
}

// published are the project's modules as a proxy serves them. The variables have the
// go command take them from there, and keep what it has taken for all tests.
type published struct {
	modules []moduleproxy.Module
	environ []string
}

func pack(t *testing.T) published {
	t.Helper()
	checkout(t) // Skips it all.
	packed, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

var packed = sync.OnceValues(func() (p published, err error) {
	root, err := workspace.Root()
	if err != nil {
		return p, err
	}
	ctx, proxy := context.Background(), filepath.Join(scratch, "proxy")
	if p.modules, err = moduleproxy.Pack(ctx, root, proxy); err != nil {
		return p, err
	}
	environ, err := moduleproxy.Environ(ctx, proxy, filepath.Join(scratch, "mod"), p.modules...)
	p.environ = append(testserver.Environ(), environ...)
	return p, err
})

// server is where the tests have built the checkout's server.
var server = sync.OnceValues(func() (string, error) {
	root, err := workspace.Root()
	if err != nil {
		return "", err
	}
	return testserver.Build(context.Background(), filepath.Join(root, "server"), "tidings", scratch)
})
