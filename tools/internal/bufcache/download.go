package bufcache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// download has the go command bring a module into its cache, verified by Go's
// checksum database, and returns the directory that holds it.
func download(ctx context.Context, src source) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", src.goModule+"@"+src.version)
	// Outside of any module, so that no go.mod or go.sum has a say.
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()

	// A failed download is reported in the output as well as by the status.
	var result struct {
		Dir   string `json:"Dir"`
		Error string `json:"Error"`
	}
	jsonErr := json.Unmarshal(stdout.Bytes(), &result)
	if err := errors.Join(runErr, jsonErr); err != nil {
		return "", fmt.Errorf("go mod download %s@%s: %w: %s%s", src.goModule, src.version, err, result.Error, &stderr)
	}
	return result.Dir, nil
}
