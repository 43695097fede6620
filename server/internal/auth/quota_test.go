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
		principal Principal
		want      quota.Limits
	}{
		{Principal{Name: "key:checkout"}, quota.Limits{Events: 100, Bytes: 200}},
		{Principal{Name: "cert:anyone", Groups: []string{"corp:batch"}}, quota.Limits{Events: 100, Bytes: 200}}, // The first holds.
		{Principal{Name: "corp:bob", Groups: []string{"corp:other", "corp:batch"}}, quota.Limits{Requests: 5, Streams: 3}},
		{Principal{Name: "corp:ada"}, quota.Limits{}},
		{Principal{Name: "key:other"}, quota.Limits{Events: 1}},
	} {
		if got := f.Quotas.For(test.principal); got == nil || got.Limits() != test.want {
			t.Errorf("%v may use %v, want %v", test.principal, got, test.want)
		}
	}
	if got := f.Quotas[:3].For(Principal{Name: "key:other"}); got != nil {
		t.Errorf("without a quota of its own: %v", got)
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
