package admin

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/auth"
	"example.com/tidings/server/internal/cli/command"
)

// defaultKeyFile is the file of API keys where no other is named.
const defaultKeyFile = "keys.yaml"

func keyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "key",
		Short: "Create, list and revoke API keys",
		Long: `Create, list and revoke API keys in a file that the access file of a server
names. The file holds hashes; a key is shown once, when it is created. A running
server reads the file again when it changes.`,
		Example: `  tidings key create checkout --file keys.yaml > checkout.key
  tidings key revoke 1f0c5d2a9b3e --file keys.yaml`,
	}, createKeyCommand(), listKeysCommand(), revokeKeyCommand())
}

func fileFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "file", defaultKeyFile, "`FILE` of the API keys")
}

func createKeyCommand() *cobra.Command {
	var path string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an API key and print it",
		Long: `Create an API key and print it. Its principal is key:NAME, which the access file
gives roles to. The file is created where it doesn't exist.`,
		Example: "  tidings key create checkout --file keys.yaml --expires-in 2160h > checkout.key",
		Args:    command.Arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lifetime < 0 {
				return command.Usagef("--expires-in: %s is negative", lifetime)
			}
			file, err := readOrNew(path)
			if err != nil {
				return err
			}
			now, expires := time.Now(), time.Time{}
			if lifetime > 0 {
				expires = now.Add(lifetime).UTC().Truncate(time.Second)
			}
			key, stored, err := auth.NewKey(args[0], now, expires)
			if err != nil {
				return command.Usagef("NAME: %w", err)
			}
			file.Keys = append(file.Keys, stored)
			if err := file.Write(path); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), key)
			return nil
		},
	}
	fileFlag(cmd, &path)
	cmd.Flags().DurationVar(&lifetime, "expires-in", 0, "`DURATION` after which the key ends; 0: never")
	return cmd
}

func readOrNew(path string) (*auth.KeyFile, error) {
	file, err := auth.ReadKeys(path)
	if errors.Is(err, os.ErrNotExist) {
		return new(auth.KeyFile), nil
	}
	return file, err
}

func listKeysCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the API keys of a file",
		Example: "  tidings key list --file keys.yaml",
		Args:    command.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := auth.ReadKeys(path)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tPRINCIPAL\tCREATED\tSTATE")
			for _, key := range file.Keys {
				fmt.Fprintf(table, "%s\tkey:%s\t%s\t%s\n", key.ID, key.Name, key.Created.Format(time.RFC3339), state(key, time.Now()))
			}
			return table.Flush()
		},
	}
	fileFlag(cmd, &path)
	return cmd
}

func state(key auth.Key, now time.Time) string {
	switch {
	case !key.Revoked.IsZero():
		return "revoked " + key.Revoked.Format(time.RFC3339)
	case key.Expires.IsZero():
		return "valid"
	case now.Before(key.Expires):
		return "valid until " + key.Expires.Format(time.RFC3339)
	default:
		return "expired " + key.Expires.Format(time.RFC3339)
	}
}

func revokeKeyCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API key",
		Long: `Revoke an API key. A running server takes no call with it from then on, and ends
the streams of its callers.`,
		Example: "  tidings key revoke 1f0c5d2a9b3e --file keys.yaml",
		Args:    command.Arguments("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := auth.ReadKeys(path)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(file.Keys, func(key auth.Key) bool { return key.ID == args[0] })
			if i < 0 {
				return fmt.Errorf("%s has no key %q", path, args[0])
			}
			if !file.Keys[i].Revoked.IsZero() {
				return nil
			}
			file.Keys[i].Revoked = time.Now().UTC().Truncate(time.Second)
			return file.Write(path)
		},
	}
	fileFlag(cmd, &path)
	return cmd
}
