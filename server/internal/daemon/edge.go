package daemon

import (
	"net/url"
	"strings"

	"example.com/tidings/server/internal/quota"
	"example.com/tidings/server/internal/telemetry"
)

// The bounds of what a connection may carry.
const (
	maxConnectionCalls = 10_000
	minHeaderBytes     = 8 << 10
	maxHeaderBytes     = 1 << 20
)

// corsOrigins are CORSOrigins one by one.
func (c Config) corsOrigins() []string {
	if c.CORSOrigins == "" {
		return nil
	}
	var origins []string
	for origin := range strings.SplitSeq(c.CORSOrigins, ",") {
		origins = append(origins, strings.ToLower(strings.TrimSpace(origin)))
	}
	return origins
}

// isOrigin reports whether a text is an origin as browsers send it, in full.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		text == u.Scheme+"://"+u.Host && !strings.Contains(text, "*")
}

func (c Config) validateEdge(refuse func(setting, problem string, args ...any)) {
	for _, origin := range c.corsOrigins() {
		if !isOrigin(origin) {
			refuse("cors-origins", "%q is not an origin in full, http://host:port or https://host, or several joined by commas", origin)
		}
	}
	if c.MaxConnectionCalls < 1 || c.MaxConnectionCalls > maxConnectionCalls {
		refuse("max-connection-calls", "%d is not between 1 and %d", c.MaxConnectionCalls, maxConnectionCalls)
	}
	if c.MaxHeaderBytes < minHeaderBytes || c.MaxHeaderBytes > maxHeaderBytes {
		refuse("max-header-bytes", "%d is not between %d and %d", c.MaxHeaderBytes, minHeaderBytes, maxHeaderBytes)
	}
	for setting, limit := range map[string]int64{
		"quota-requests": c.Quota.Requests, "quota-events": c.Quota.Events,
		"quota-bytes": c.Quota.Bytes, "quota-streams": c.Quota.Streams,
	} {
		if limit < 0 {
			refuse(setting, "%d is negative", limit)
		}
	}
}

// openQuotas returns what holds callers to their quotas. nil: there can be none.
func openQuotas(cfg Config, metrics *telemetry.Metrics) *quota.Accounts {
	if cfg.AccessFile == "" && cfg.Quota == (quota.Limits{}) {
		return nil
	}
	accounts := quota.NewAccounts(cfg.Quota)
	metrics.FollowQuotas(func() telemetry.Quotas {
		usage := accounts.Usage()
		return telemetry.Quotas{Callers: usage.Accounts, Refused: usage.Refused, Waited: usage.Waited}
	})
	return accounts
}
