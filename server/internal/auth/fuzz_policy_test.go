package auth

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// glob is what a pattern means, by the regular expression that it stands for.
func glob(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`\A(?s:` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `)\z`)
}

// rights are the table of docs/access.md: what a role gives, on what. The resources of
// a permission are topic, subscription or server.
var rights = map[Role]map[string][]Action{
	RolePublish: {"topic": {Publish, See}},
	RoleRead:    {"topic": {Read, See}},
	RoleConsume: {"subscription": {Consume, See}},
	RoleManage:  {"topic": {Manage, See}, "subscription": {Manage, See}},
	RoleSchema:  {"server": {Schema}},
	RoleMonitor: {"server": {Monitor}},
}

// mayDo is a naive Policy.Allows: everything that every grant gives, one by one.
func mayDo(policy Policy, who Principal, action Action, resource, name, eventType string) bool {
	for _, grant := range policy {
		for _, role := range grant.Roles {
			concerned := false
			for _, pattern := range grant.Principals {
				concerned = concerned || glob(pattern).MatchString(who.Name)
			}
			for _, pattern := range grant.Groups {
				for _, group := range who.Groups {
					concerned = concerned || glob(pattern).MatchString(group)
				}
			}
			patterns := map[string][]string{"topic": grant.Topics, "subscription": grant.Subscriptions, "server": {"*"}}[resource]
			named := false
			for _, pattern := range patterns {
				named = named || glob(pattern).MatchString(name)
			}
			ofType := action != Publish || len(grant.EventTypes) == 0 || eventType == ""
			for _, pattern := range grant.EventTypes {
				ofType = ofType || glob(pattern).MatchString(eventType)
			}
			given := slices.Contains(rights[role][resource], action) && named && ofType
			if concerned && (role == RoleAdmin || action == Connect || given) {
				return true
			}
		}
	}
	return false
}

// FuzzPolicy reads access files, and holds what they allow to a naive evaluation of
// them, for every action on every kind of resource.
func FuzzPolicy(f *testing.F) {
	for _, grants := range []string{
		"- {principals: ['key:a'], roles: [publish], topics: [orders], event_types: ['shop.*']}",
		"- {groups: ['corp:*'], roles: [read, consume, monitor], topics: ['or*rs'], subscriptions: ['*-eu']}",
		"- {principals: ['*'], roles: [manage], subscriptions: [orders]}\n- {principals: ['key:a'], roles: [schema]}",
		"- {principals: ['**a'], roles: [admin]}", "- {principals: ['key:?', '[k]ey:a', 'key:a$'], roles: [manage], topics: ['.*']}",
		"[]", "- {}", "- {principals: [a], roles: [reed]}", "- &a {principals: ['key:a'], roles: [monitor]}\n- *a", "- {principals: 'key:a', roles: admin}",
		"- {principals: [~], roles: [admin]}", "- {principals: ['key:a'], roles: [admin], roles: [read]}", "- {principals: [\"key:a\\0\"], roles: [admin]}",
	} {
		f.Add("grants:\n"+grants, "key:a", "corp:b", "orders", "shop.Paid")
	}
	f.Add("issuers: [{name: key, issuer: i, audiences: [t], jwks_file: j}]", "corp:b", "", "orders-eu", "")
	f.Add("client_certificates: {name: uri}\napi_keys: ''\ngrants: [{principals: ['cert:*'], roles: [admin]}]", "cert:x", "", "a", "a.B")
	f.Fuzz(func(t *testing.T, content, principal, group, name, eventType string) {
		if !strings.Contains(content, "api_keys") {
			content = "api_keys: keys.yaml\n" + content
		}
		file, err := parseFile("/etc/access.yaml", []byte(content))
		if err != nil {
			return
		}
		for i, grant := range file.Grants {
			if len(grant.Principals)+len(grant.Groups) == 0 || len(grant.Roles) == 0 {
				t.Errorf("grants[%d] of %q is taken", i, content)
			}
		}
		// Names are text: see checkPrincipal and the rules of the contract.
		principal, group = strings.ToValidUTF8(principal, "?"), strings.ToValidUTF8(group, "?")
		name, eventType = strings.ToValidUTF8(name, "?"), strings.ToValidUTF8(eventType, "?")
		if name == "" {
			name = "a" // A resource has a name.
		}
		who := Principal{Name: principal, Groups: []string{group, "corp:everybody"}}
		for _, action := range []Action{Publish, Read, Consume, Manage, Schema, Monitor, See, Connect} {
			for resource, asked := range map[string]Permission{
				"topic": {Action: action, Topic: name}, "subscription": {Action: action, Subscription: name}, "server": {Action: action},
			} {
				if (action == Schema || action == Monitor) && resource != "server" {
					continue // Nobody asks: these are of the server.
				}
				if action == Publish && resource == "topic" {
					asked.EventType = eventType
				}
				grant, allowed := file.Grants.Allows(who, asked)
				if want := mayDo(file.Grants, who, action, resource, name, asked.EventType); allowed != want || allowed != (grant >= 0) {
					t.Errorf("with %q, %q of %q may %s: %v by grants[%d], want %v", content, principal, group, asked, allowed, grant, want)
				}
			}
		}
	})
}

// FuzzNames: a pattern matches what its regular expression does, and a key of a name
// that is taken authenticates as this name alone.
func FuzzNames(f *testing.F) {
	for _, pair := range [][2]string{
		{"a*b*c", "axbxbxc"}, {"*b*b", "b"}, {"a*a", "a"}, {"**", ""}, {"key:*", "key:a.b-c_d"}, {"key:a", "key:A"}, {".", "x"}, {"é*", "é\n"}, {"\\*", "\\x"}, {"[a]", "a"}, {"a*aab", "aaaab"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		pattern, text = strings.ToValidUTF8(pattern, "?"), strings.ToValidUTF8(text, "?")
		if got, want := match(pattern, text), glob(pattern).MatchString(text); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
		key, stored, err := NewKey(text, time.Unix(1, 0), time.Time{})
		if plain := isKeyName(text); (err == nil) != plain {
			t.Fatalf("a key may be called %q: %v, want %v", text, err == nil, plain)
		}
		if err != nil {
			return
		}
		keys := &KeyFile{Keys: []Key{stored}}
		if err := keys.validate(); err != nil {
			t.Fatal(err)
		}
		if principal, err := keys.verify(key, time.Unix(2, 0)); err != nil || principal.Name != "key:"+text {
			t.Errorf("the key of %q is that of %q, %v", text, principal.Name, err)
		}
		// Neither does another secret, nor a part of it, nor what stands for the hash.
		for _, other := range []string{key + "A", key[:len(key)-1], keyPrefix + stored.ID + "_", keyPrefix + stored.ID + "_" + stored.Hash, keyPrefix + "_" + text, key + "\n"} {
			if principal, err := keys.verify(other, time.Unix(2, 0)); err == nil {
				t.Errorf("%q is that of %q", other, principal.Name)
			}
		}
	})
}

// isKeyName is checkName, letter by letter.
func isKeyName(text string) bool {
	const ends = "abcdefghijklmnopqrstuvwxyz0123456789"
	if text == "" || len(text) > 64 || !strings.Contains(ends, text[:1]) || !strings.Contains(ends, text[len(text)-1:]) {
		return false
	}
	return strings.Trim(text, ends+".-_") == ""
}
