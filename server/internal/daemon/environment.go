package daemon

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

const envPrefix = "TIDINGS_"

// notSettings are variables with our prefix that other commands read, or that
// `tidings consume` gives to the commands that it runs.
var notSettings = []string{
	"TIDINGS_SERVER", "TIDINGS_TOKEN_FILE", "TIDINGS_CA_FILE", "TIDINGS_CLIENT_CERT", "TIDINGS_CLIENT_KEY",
	"TIDINGS_ID", "TIDINGS_SOURCE", "TIDINGS_TYPE", "TIDINGS_SUBJECT", "TIDINGS_PARTITION_KEY",
	"TIDINGS_TOPIC", "TIDINGS_SEQUENCE", "TIDINGS_SUBSCRIPTION", "TIDINGS_ATTEMPT",
}

// serviceLink matches the variables that Kubernetes puts into every container
// of a namespace with a service called `tidings`, or `tidings-` and something:
// TIDINGS_SERVICE_HOST, TIDINGS_HTTP_PORT=tcp://10.0.0.1:7070. One of them could
// have the name of a setting that ends in `-port`: what holds a URL is a link.
var serviceLink = regexp.MustCompile(`^TIDINGS_([A-Z0-9_]+_)?(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT=(tcp|udp|sctp)://|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)`)

// variable returns the environment variable of a setting.
func variable(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// readEnvironment returns the settings that the environment holds, and under
// configFlag the file that it names. Variables with our prefix that mean nothing
// are unknown, sorted: whoever names a service or a variable of their own so
// isn't kept from running the server.
func readEnvironment(environ []string) (k *koanf.Koanf, unknown []string, err error) {
	known := map[string]string{variable(configFlag): configFlag}
	for _, name := range settings() {
		known[variable(name)] = name
	}
	environ = slices.DeleteFunc(slices.Clone(environ), serviceLink.MatchString)
	k = koanf.New(".")
	err = k.Load(env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(key, value string) (string, any) {
			name, ok := known[key]
			if !ok && !slices.Contains(notSettings, key) {
				unknown = append(unknown, key)
			}
			if value == "" {
				name = ""
			}
			return name, value
		},
	}), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the environment: %w", err)
	}
	slices.Sort(unknown)
	return k, unknown, nil
}
