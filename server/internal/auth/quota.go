package auth

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"example.com/tidings/server/internal/quota"
)

// Quota bounds what each of the principals, and of the members of groups, that its
// patterns match may use. One without limits lets them use what they like.
type Quota struct {
	Principals []string `yaml:"principals"`
	Groups     []string `yaml:"groups"`
	// The limits are those of quota.Limits. 0: no bound.
	Requests limit `yaml:"requests_per_second"`
	Events   limit `yaml:"events_per_second"`
	Bytes    limit `yaml:"bytes_per_second"`
	Streams  limit `yaml:"streams"`
}

// limit is a whole number. The library would round others, and a half down to what
// means no bound.
type limit int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *limit) UnmarshalYAML(node *yaml.Node) error {
	var number int64
	if err := node.Decode(&number); err != nil || node.Tag != "!!int" || number < 0 {
		return fmt.Errorf("line %d: %q is not a whole number from 0 on", node.Line, node.Value)
	}
	*l = limit(number)
	return nil
}

func (q Quota) validate() error {
	if len(q.Principals) == 0 && len(q.Groups) == 0 {
		return errors.New("it names no principals and no groups")
	}
	if slices.Contains(q.Principals, "") || slices.Contains(q.Groups, "") {
		return errors.New("one of the principals or groups is empty")
	}
	return nil
}

// Limits returns the limits of a quota.
func (q Quota) Limits() quota.Limits {
	return quota.Limits{Requests: int64(q.Requests), Events: int64(q.Events), Bytes: int64(q.Bytes), Streams: int64(q.Streams)}
}

// Quotas are those of a file.
type Quotas []Quota

// indexFor returns the index of the first quota that is for a principal, or -1.
func (q Quotas) indexFor(p Principal) int {
	return slices.IndexFunc(q, func(one Quota) bool { return p.isAmong(one.Principals, one.Groups) })
}

// For returns the quota of a principal, the first that is for it. nil: none is.
func (q Quotas) For(p Principal) *Quota {
	i := q.indexFor(p)
	if i < 0 {
		return nil
	}
	return &q[i]
}

// QuotaSource says what a limit is, and where that comes from.
type QuotaSource struct {
	// Name is that of the limit, one of quota.Names.
	Name string
	// Entry is the path in the file of the entry that holds, such as quotas[1]. Empty:
	// none is for the principal, so that the settings of the server hold.
	Entry string
	// Pattern is the first of the entry that matches: of the principal's name, or else
	// of a group.
	Pattern string
	// Limit is what the entry says. 0: no bound.
	Limit int64
}

// Explain says for each limit what a principal may use, and where that comes from.
func (q Quotas) Explain(p Principal) []QuotaSource {
	var entry, pattern string
	var limits quota.Limits
	if i := q.indexFor(p); i >= 0 {
		entry, pattern, limits = fmt.Sprintf("quotas[%d]", i), q[i].patternFor(p), q[i].Limits()
	}
	return []QuotaSource{
		{quota.Requests, entry, pattern, limits.Requests},
		{quota.Events, entry, pattern, limits.Events},
		{quota.Bytes, entry, pattern, limits.Bytes},
		{quota.Streams, entry, pattern, limits.Streams},
	}
}

// patternFor returns the first pattern that makes a quota one for a principal.
func (q Quota) patternFor(p Principal) string {
	matches := func(pattern string) bool { return match(pattern, p.Name) }
	if i := slices.IndexFunc(q.Principals, matches); i >= 0 {
		return q.Principals[i]
	}
	i := slices.IndexFunc(q.Groups, func(pattern string) bool { return p.isAmong(nil, []string{pattern}) })
	return q.Groups[i]
}

func (q Quotas) validate() error {
	for i, one := range q {
		if err := one.validate(); err != nil {
			return fmt.Errorf("quotas[%d]: %w", i, err)
		}
	}
	return nil
}

// Quota returns the name of the caller and what it may use now. ok is false where no
// quota is for it.
func (s *Session) Quota() (name string, limits quota.Limits, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metered != s.rules {
		s.metered, s.quota = s.rules, s.rules.quotas.For(s.principal)
	}
	if s.quota == nil {
		return s.principal.Name, quota.Limits{}, false
	}
	return s.principal.Name, s.quota.Limits(), true
}
