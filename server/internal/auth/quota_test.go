package auth

import (
	"strings"
	"testing"

	"example.com/tidings/server/internal/quota"
)

func TestQuotas(t *testing.T) {
	f, err := parseFile("access.yaml", []byte(`
api_keys: keys.yaml
quotas:
- principals: ["key:checkout", "cert:*"]
  events_per_second: 100
  bytes_per_second: 200
- groups: ["corp:batch"]
  requests_per_second: 5
  streams: 3
- principals: ["corp:ada"]
- principals: ["*"]
  events_per_second: 1
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		principal      Principal
		entry, pattern string
		want           quota.Limits
	}{
		{Principal{Name: "key:checkout"}, "quotas[0]", "key:checkout", quota.Limits{Events: 100, Bytes: 200}},
		{Principal{Name: "cert:anyone", Groups: []string{"corp:batch"}}, "quotas[0]", "cert:*", quota.Limits{Events: 100, Bytes: 200}}, // The first holds.
		{Principal{Name: "corp:bob", Groups: []string{"corp:other", "corp:batch"}}, "quotas[1]", "corp:batch", quota.Limits{Requests: 5, Streams: 3}},
		{Principal{Name: "corp:ada"}, "quotas[2]", "corp:ada", quota.Limits{}},
		{Principal{Name: "key:other"}, "quotas[3]", "*", quota.Limits{Events: 1}},
	} {
		if got := f.Quotas.For(test.principal); got == nil || got.Limits() != test.want {
			t.Errorf("%v may use %v, want %v", test.principal, got, test.want)
		}
		wantExplained(t, f.Quotas, test.principal, test.entry, test.pattern, test.want)
	}
	if got := f.Quotas[:3].For(Principal{Name: "key:other"}); got != nil {
		t.Errorf("without a quota of its own: %v", got)
	}
	wantExplained(t, f.Quotas[:3], Principal{Name: "key:other"}, "", "", quota.Limits{})
}

// wantExplained fails the test unless each limit of a principal is told, once, with
// where it comes from.
func wantExplained(t *testing.T, quotas Quotas, p Principal, entry, pattern string, want quota.Limits) {
	t.Helper()
	limits := map[string]int64{
		quota.Requests: want.Requests, quota.Events: want.Events, quota.Bytes: want.Bytes, quota.Streams: want.Streams,
	}
	explained := quotas.Explain(p)
	if len(explained) != len(quota.Names) {
		t.Errorf("%v: %d limits are told", p, len(explained))
	}
	for i, got := range explained {
		if want := (QuotaSource{quota.Names[i], entry, pattern, limits[quota.Names[i]]}); got != want {
			t.Errorf("%v: told is %v, want %v", p, got, want)
		}
	}
}

func TestQuotasThatAreWrong(t *testing.T) {
	whole := " is not a whole number from 0 on"
	for text, want := range map[string]string{
		"- {events_per_second: 1}":                                     "quotas[0]: it names no principals and no groups",
		"- {principals: [a]}\n- {groups: ['']}":                        "quotas[1]: one of the principals or groups is empty",
		"- {principals: [a], bytes_per_secnd: 1}":                      "bytes_per_secnd",
		"- {principals: [a], bytes_per_second: -1}":                    `line 3: "-1"` + whole,
		"- {principals: [a], requests_per_second: many}":               `"many"` + whole,
		"- {principals: [a], requests_per_second: 0.5}":                `"0.5"` + whole,
		"- {principals: [a], streams: '3'}":                            `"3"` + whole,
		"- {principals: [a], events_per_second: 99999999999999999999}": `"99999999999999999999"` + whole,
	} {
		_, err := parseFile("access.yaml", []byte("api_keys: keys.yaml\nquotas:\n"+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
