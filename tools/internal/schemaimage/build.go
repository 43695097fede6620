package schemaimage

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
)

// contractModule is the Buf module that is the contract, seen from the root.
const contractModule = "proto"

// Contract returns the image of the contract of a checkout, with its comments, as a Buf
// builds it.
func Contract(ctx context.Context, buf, root string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, buf, "build", contractModule, "-o", "-#format=binpb")
	cmd.Dir = root
	cmd.Stderr = &stderr
	image, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w: %s", err, &stderr)
	}
	return image, nil
}
