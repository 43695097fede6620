package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"example.com/tidings/server/internal/engine"
	"example.com/tidings/server/internal/engine/local"
)

// Commands returns `tidings serve` and what is done with its data directory.
func Commands() []*cobra.Command {
	return []*cobra.Command{Command(), storageCommand(), backupCommand(), restoreCommand()}
}

// dataDirFlag adds the flag for the data directory to a command other than
// `serve`.
func dataDirFlag(cmd *cobra.Command, dir *string) {
	standard := cmp.Or(os.Getenv(variable("data-dir")), DefaultConfig().DataDir)
	cmd.Flags().StringVar(dir, "data-dir", standard, "`DIR` of the storage (environment: "+variable("data-dir")+")")
}

func storageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "storage",
		Short:   "Check and repair the storage of a server that doesn't run",
		Example: "  tidings storage verify --data-dir /var/lib/tidings",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verifyCommand(), repairCommand())
	return cmd
}

func verifyCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Verify everything in a data directory",
		Example: "  tidings storage verify --data-dir /var/lib/tidings",
		Long: `Read and check everything in the data directory of a server that doesn't run, a
backup, or a copy: every block of every file, every event, and whether all that
is stored agrees with the rest of it. Nothing is changed. What is wrong is
printed, and the exit status is 1 where there is something.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wrong, err := verifyStorage(cmd, dir)
			if err == nil && wrong > 0 {
				err = fmt.Errorf("%s: %d things are wrong; `tidings storage repair` says what it would do about them", dir, wrong)
				if wrong == 1 {
					err = fmt.Errorf("%s: something is wrong; `tidings storage repair` says what it would do about it", dir)
				}
			}
			return err
		},
	}
	dataDirFlag(cmd, &dir)
	return cmd
}

// verifyStorage prints what is wrong with a storage, and how much that is.
func verifyStorage(cmd *cobra.Command, dir string) (wrong int, err error) {
	report := local.Report{
		Found: func(damage *engine.DamageError) {
			wrong++
			fmt.Fprintln(cmd.OutOrStdout(), describeDamage(damage))
		},
		Progress: progress(cmd),
	}
	contents, err := local.Verify(cmd.Context(), dir, report)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: read %s, %s, %s\n", dir, count(contents.Topics, "topic"),
			count(contents.Events, "event"), count(contents.Subscriptions, "subscription"))
	}
	return wrong, err
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func describeDamage(damage *engine.DamageError) string {
	if damage.Topic == "" {
		return fmt.Sprintf("%s: %v", damage.Place, damage.Cause)
	}
	return fmt.Sprintf("topic %s: %s: %v", damage.Topic, damage.Place, damage.Cause)
}

// progressEvery is how often a command that takes long says how far it is.
const progressEvery = 5 * time.Second

func progress(cmd *cobra.Command) func(int64) {
	last := time.Now()
	return func(keys int64) {
		if time.Since(last) > progressEvery {
			last = time.Now()
			fmt.Fprintf(cmd.ErrOrStderr(), "read %d keys\n", keys)
		}
	}
}

func repairCommand() *cobra.Command {
	var dir string
	var yes bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Salvage what can be read in a damaged data directory",
		Long: `Make a new storage of all that can be read in the data directory of a server
that doesn't run. Without --yes it only prints what is damaged, which would be
dropped or rebuilt. The damaged storage is kept beside the new one, which needs
as much space again.

Dropped events leave a hole: their sequences aren't used again. As it isn't
known what came last, every topic continues with higher sequences.`,
		Example: `  tidings storage repair --data-dir /var/lib/tidings
  tidings storage repair --data-dir /var/lib/tidings --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wrong, err := verifyStorage(cmd, dir)
			switch {
			case err != nil:
				return err
			case wrong == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing is wrong, so nothing is to be repaired.")
				return nil
			case !yes:
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing was changed. With --yes a storage is made of the rest, which gives this up or makes it anew.")
				return nil
			}
			kept, contents, err := local.Repair(cmd.Context(), dir, local.Report{
				Found: func(*engine.DamageError) {}, Progress: progress(cmd),
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The storage has %s, %s and %s now. What was there is in %s.\n", count(contents.Topics, "topic"),
				count(contents.Events, "event"), count(contents.Subscriptions, "subscription"), kept)
			return nil
		},
	}
	dataDirFlag(cmd, &dir)
	cmd.Flags().BoolVar(&yes, "yes", false, "repair, rather than print what would be repaired")
	return cmd
}

func backupCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "backup DIRECTORY",
		Short: "Back up a data directory, while its server runs or not",
		Long: `Back up a data directory into a directory that doesn't exist yet. A running
server makes the backup itself, of one moment, while it serves; on the volume of
the data directory that takes almost no time and space. Run the command on the
server's machine, as a user who may write to the data directory; the backup
belongs to the server's user.`,
		Example: "  tidings backup --data-dir /var/lib/tidings /var/backups/tidings",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := local.Backup(cmd.Context(), dir, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is a backup of %s.\n", args[0], dir)
			return nil
		},
	}
	dataDirFlag(cmd, &dir)
	return cmd
}

func restoreCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Restore a backup into a data directory",
		Long: `Restore a backup, or a copy of the data directory of a server that didn't run,
into an empty data directory.

What was stored after the backup is missing. So every topic continues with
higher sequences when a server starts with the directory: cursors and delivery
tokens from what is missing are refused, and subscriptions continue at the
topic's end.`,
		Example: "  tidings restore --data-dir /var/lib/tidings /var/backups/tidings",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := local.Restore(cmd.Context(), args[0], dir); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has what %s has.\n", dir, args[0])
			return nil
		},
	}
	dataDirFlag(cmd, &dir)
	return cmd
}

// withAdvice says of an error of opening a storage what can be done about it.
func withAdvice(err error) error {
	if errors.Is(err, engine.ErrDamaged) {
		return fmt.Errorf("%w\n`tidings storage verify` reads and checks everything; `tidings storage repair` says what it would give up", err)
	}
	return err
}
