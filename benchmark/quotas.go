package main

import "context"

// quotasSuite compares a server that has all quotas, none of which is ever used up, with one
// that has none.
var quotasSuite = comparedSuite("quotas", "measure what quotas cost", func(context.Context, string, string) ([]variant, func() error, error) {
	const much = "1000000000000"
	return []variant{
		{name: "no quotas"},
		{name: "all quotas", args: []string{"--quota-requests", much, "--quota-events", much, "--quota-bytes", much, "--quota-streams", much}},
	}, nothing, nil
})
