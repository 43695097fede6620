package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"example.com/tidings/interop/internal/client"
)

// Provide sees to it that Debian's packages of the clients are there: where some
// are missing it installs them, or fails and says how to. Elsewhere than on Debian
// whoever runs it has to have seen to it.
func Provide(ctx context.Context, clients []client.Client, install bool, out io.Writer) error {
	var wanted []string
	for _, c := range clients {
		wanted = append(wanted, c.Debian...)
	}
	slices.Sort(wanted)
	missing, err := missingPackages(ctx, slices.Compact(wanted))
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	commands := [][]string{
		{"apt-get", "update"},
		// A new machine may be at its updates.
		append([]string{"apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"}, missing...),
	}
	if !install {
		return fmt.Errorf("packages are missing; --install installs them, or do it yourself:\n  %s && %s",
			strings.Join(commands[0], " "), strings.Join(commands[1], " "))
	}
	for _, command := range commands {
		fmt.Fprintf(out, "interop: %s\n", strings.Join(command, " "))
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		// Nobody is there to answer.
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if log, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, end(string(log)))
		}
	}
	return nil
}

// missingPackages returns those of the packages that aren't installed.
func missingPackages(ctx context.Context, packages []string) ([]string, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		return nil, nil //nolint:nilerr // This isn't Debian.
	}
	// It fails if it doesn't know one of them, and lists the others.
	listed, err := exec.CommandContext(ctx, "dpkg-query", append([]string{"--show", "--showformat", "${Package} ${db:Status-Status}\n"}, packages...)...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	installed := strings.Split(string(listed), "\n")
	return slices.DeleteFunc(slices.Clone(packages), func(name string) bool {
		return slices.Contains(installed, name+" installed")
	}), nil
}
