package daemon

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// links are the variables of a service in Kubernetes with the ports 7070, called
// http, and 7071.
func links(service string) []string {
	prefix := strings.ToUpper(strings.ReplaceAll(service, "-", "_"))
	list := []string{
		"SERVICE_HOST=10.0.0.1", "SERVICE_PORT=7070", "SERVICE_PORT_HTTP=7070", "SERVICE_PORT_GRPC_WEB=7071",
		"PORT=tcp://10.0.0.1:7070", "PORT=udp://[fd00::1]:7070",
	}
	for _, port := range []string{"7070_TCP", "7071_TCP", "7072_SCTP", "53_UDP"} {
		list = append(list, "PORT_"+port+"=tcp://10.0.0.1:7070", "PORT_"+port+"_PROTO=tcp", "PORT_"+port+"_PORT=7070", "PORT_"+port+"_ADDR=10.0.0.1")
	}
	for i := range list {
		list[i] = prefix + "_" + list[i]
	}
	return list
}

// Services in the server's namespace change nothing, whatever they are called.
func TestServiceLinks(t *testing.T) {
	services := []string{"tidings", "tidings-http", "tidings-grpc", "tidings-server", "tidings-canary-2"}
	for _, setting := range append(settings(), configFlag) {
		services = append(services, "tidings-"+setting)
	}
	var environ []string
	for _, service := range services {
		environ = append(environ, links(service)...)
	}
	cfg, unknown := environment(t, environ)
	if len(unknown) > 0 || cfg != DefaultConfig() {
		t.Errorf("got %v, unknown %q", cfg, unknown)
	}
}

// A setting whose variable were a service's link could not be set at all. One
// that ends in -port could, except to a URL.
func TestNoSettingIsALink(t *testing.T) {
	for _, setting := range append(settings(), configFlag) {
		if serviceLink.MatchString(variable(setting) + "=7070") {
			t.Errorf("%s is taken for a link", setting)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	cfg, unknown := environment(t, []string{
		"TIDINGS_REPLICAS=3", "TIDINGS_NATS_URL=nats://a:1", "TIDINGS_SERVER=http://127.0.0.1:1", "TIDINGS_ATTEMPT=1", "OTHER=1",
		"TIDINGS_HTTP_ADDRESS=secret", "TIDINGS_DATADIR=", "TIDINGS_PORT=7070", "TIDINGS_SERVICE_PORTS=1", "TIDINGS_PORT_HTTP_TCP=tcp://10.0.0.1:1",
	})
	want := []string{"TIDINGS_DATADIR", "TIDINGS_HTTP_ADDRESS", "TIDINGS_PORT", "TIDINGS_PORT_HTTP_TCP", "TIDINGS_SERVICE_PORTS"}
	if !slices.Equal(unknown, want) {
		t.Errorf("unknown are %q", unknown)
	}
	if cfg.Replicas != 3 {
		t.Errorf("replicas are %d", cfg.Replicas)
	}
}

// environment loads a configuration from variables alone.
func environment(t *testing.T, environ []string) (cfg Config, unknown []string) {
	t.Helper()
	cfg = DefaultConfig()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags, &cfg)
	unknown, err := load(&cfg, flags, environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, unknown
}

// The log names variables that mean nothing, and not what they hold, also where
// the server doesn't start.
func TestUnknownVariablesInTheLog(t *testing.T) {
	t.Setenv("TIDINGS_HTTP_ADDRESS", "hidden")
	var log strings.Builder
	command := Command()
	command.SetErr(&log)
	command.SetArgs([]string{"--replicas=9"})
	command.SilenceErrors, command.SilenceUsage = true, true
	if err := command.Execute(); err == nil {
		t.Error("it started")
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "variables=[TIDINGS_HTTP_ADDRESS]") || strings.Contains(log.String(), "hidden") {
		t.Errorf("the log is %s", &log)
	}
}
