package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Version is the version of the binary: the contents of the file VERSION.
const Version = "0.2.0"

const configFlag = "config"

// Command returns `tidings serve`. The server runs until the command's context
// ends, which is the caller's to end on SIGINT and SIGTERM.
func Command() *cobra.Command {
	cfg := DefaultConfig()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is told to stop by SIGINT or SIGTERM.

Every flag can also be an environment variable (--http-addr is
TIDINGS_HTTP_ADDR) or a key of the YAML file that --config or TIDINGS_CONFIG
names (http-addr: 127.0.0.1:7070). A flag wins over the environment, the
environment over the file, and the file over the default. An empty variable
counts as not set. A key that isn't a setting is an error; a variable that
begins with TIDINGS_ and isn't one is named in the log.`,
		Example: `  tidings serve --schemas events.binpb
  tidings serve --config /etc/tidings/tidings.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unknown, err := load(&cfg, cmd.Flags(), os.Environ())
			log := cfg.logger(cmd.ErrOrStderr())
			if len(unknown) > 0 {
				log.Warn("environment variables ignored: no setting has these names; `tidings serve --help` lists the settings", "variables", unknown)
			}
			if err != nil {
				return err
			}
			log.Debug("configuration", "config", cfg)
			return Run(cmd.Context(), cfg, log)
		},
	}
	addFlags(cmd.Flags(), &cfg)
	cmd.Flags().String(configFlag, "", "YAML `FILE` with settings (environment: TIDINGS_CONFIG)")
	return cmd
}

// logger returns the logger that the settings describe.
func (c Config) logger(w io.Writer) *slog.Logger {
	level, err := c.level()
	if err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == LogFormatJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// load fills what the command line left open from the environment and from the
// file, and validates the result. It returns the variables that begin as ours do
// and that nobody reads, also with an error. The flags must be those of addFlags,
// with the command line parsed.
func load(cfg *Config, flags *pflag.FlagSet, environ []string) (unknown []string, err error) {
	fromEnv, unknown, err := readEnvironment(environ)
	if err != nil {
		return unknown, err
	}
	path := fromEnv.String(configFlag)
	if f := flags.Lookup(configFlag); f != nil && f.Changed {
		path = f.Value.String()
	}
	fromFile, err := readFile(path)
	if err != nil {
		return unknown, err
	}
	// Once it is set from here, a flag counts as changed too: what is on the
	// command line has to be known before.
	onCommandLine := make(map[string]bool)
	flags.Visit(func(f *pflag.Flag) { onCommandLine[f.Name] = true })
	for _, name := range settings() {
		switch {
		case onCommandLine[name]:
		case fromEnv.Exists(name):
			err = set(flags, name, fromEnv.Get(name), "environment variable "+variable(name))
		case fromFile.Exists(name):
			err = set(flags, name, fromFile.Get(name), path)
		}
		if err != nil {
			return unknown, err
		}
	}
	return unknown, cfg.Validate()
}

// settings returns the names of all settings.
func settings() []string {
	cfg := DefaultConfig()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(flags, &cfg)
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// readFile returns the settings that a YAML file holds; none if path is empty.
func readFile(path string) (*koanf.Koanf, error) {
	// No key holds a NUL, so that one with a dot stays as it is.
	k := koanf.New("\x00")
	if path == "" {
		return k, nil
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return nil, &SettingError{configFlag, fmt.Sprintf("%s: %v", path, err)}
	}
	known := settings()
	for _, key := range slices.Sorted(maps.Keys(k.Raw())) {
		if !slices.Contains(known, key) {
			return nil, &SettingError{key, fmt.Sprintf("%s: no setting has this name; `tidings serve --help` lists the settings", path)}
		}
	}
	return k, nil
}

// set gives a setting a value that came from source. Its flag parses it, so
// that every source takes the same values.
func set(flags *pflag.FlagSet, name string, value any, source string) error {
	switch value.(type) {
	case string, bool, int, int64, uint64, float64:
	default:
		return &SettingError{name, source + ": it is not a single value"}
	}
	text := fmt.Sprint(value)
	if err := flags.Lookup(name).Value.Set(text); err != nil {
		return &SettingError{name, fmt.Sprintf("%s: %q is not a %s", source, text, flags.Lookup(name).Value.Type())}
	}
	flags.Lookup(name).Changed = true
	return nil
}
