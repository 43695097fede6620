package daemon

import (
	"net"
	"regexp"
	"strconv"
	"strings"

	"example.com/tidings/server/internal/secure"
)

// hostName matches the name of a host.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$`)

// hosts are Hosts one by one.
func (c Config) hosts() []string {
	if c.Hosts == "" {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(c.Hosts, ",") {
		names = append(names, strings.ToLower(strings.TrimSpace(name)))
	}
	return names
}

// checkHost reports whether the HTTP address is called by certain names only.
func (c Config) checkHost() bool {
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	return c.Hosts != "" || err == nil && secure.IsLoopback(host)
}

func (c Config) validateAddresses(refuse func(setting, problem string, args ...any)) {
	for _, listener := range []struct{ setting, address string }{
		{"http-addr", c.HTTPAddr}, {"grpc-addr", c.GRPCAddr},
	} {
		host, port, err := net.SplitHostPort(listener.address)
		if err != nil {
			refuse(listener.setting, "%q is not host:port", listener.address)
			continue
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			refuse(listener.setting, "%q is not a port: a number from 0 to 65535", port)
		}
		if missing := c.unprotected(); missing != "" && !c.Insecure && !secure.IsLoopback(host) {
			refuse(listener.setting, "%q is not a loopback address, and %s. Set insecure to allow that", listener.address, missing)
		}
	}
	if _, port, err := net.SplitHostPort(c.HTTPAddr); err == nil && port != "0" && c.HTTPAddr == c.GRPCAddr {
		refuse("grpc-addr", "%q is http-addr too: each listener needs its own", c.GRPCAddr)
	}
}

// unprotected says what others could do at an address that they can reach. Empty:
// nothing that they may not.
func (c Config) unprotected() string {
	switch {
	case c.AccessFile == "":
		return "without access-file whoever reaches it could read and publish everything"
	case c.TLSCert == "":
		return "without tls-cert credentials and events could be read in transit"
	default:
		return ""
	}
}
