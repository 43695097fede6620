package auth

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what a principal does with a resource.
type Action string

// The actions.
const (
	Publish Action = "publish" // Events of a type into a topic.
	Read    Action = "read"    // A topic.
	Consume Action = "consume" // A subscription.
	Manage  Action = "manage"  // Create, change and delete a topic or a subscription.
	Schema  Action = "schema"  // Register schemas.
	Monitor Action = "monitor" // Metrics.
	See     Action = "see"     // That a topic or subscription exists: by any other right to it.
	Connect Action = "connect" // What everybody may who has any right.
)

// Permission is an action on a resource.
type Permission struct {
	Action Action
	// Topic or Subscription is the resource; neither, it is the server.
	Topic, Subscription string
	// EventType is that of an event that is published. Empty: of any type.
	EventType string
}

// String shows a permission for a message: publish to topic "orders".
func (p Permission) String() string {
	text := string(p.Action)
	switch {
	case p.Topic != "":
		text += fmt.Sprintf(" topic %q", p.Topic)
	case p.Subscription != "":
		text += fmt.Sprintf(" subscription %q", p.Subscription)
	}
	if p.EventType != "" {
		text += fmt.Sprintf(" with events of type %q", p.EventType)
	}
	return text
}

// Role is a set of actions.
type Role string

// The roles. An admin may do everything.
const (
	RolePublish Role = "publish"
	RoleRead    Role = "read"
	RoleConsume Role = "consume"
	RoleManage  Role = "manage"
	RoleSchema  Role = "schema"
	RoleMonitor Role = "monitor"
	RoleAdmin   Role = "admin"
)

// Roles are all roles.
var Roles = []Role{RolePublish, RoleRead, RoleConsume, RoleManage, RoleSchema, RoleMonitor, RoleAdmin}

// Grant gives roles to principals and members of groups, on the resources that its
// patterns match. A * in a pattern stands for any text.
type Grant struct {
	Principals    []string `yaml:"principals"`
	Groups        []string `yaml:"groups"`
	Roles         []Role   `yaml:"roles"`
	Topics        []string `yaml:"topics"`
	Subscriptions []string `yaml:"subscriptions"`
	// EventTypes narrows the role publish. Empty: all types.
	EventTypes []string `yaml:"event_types"`
}

// validate returns what is wrong with a grant, at a path in its file.
func (g Grant) validate(path string) error {
	if len(g.Principals) == 0 && len(g.Groups) == 0 {
		return fmt.Errorf("%s: it names no principals and no groups", path)
	}
	if len(g.Roles) == 0 {
		return fmt.Errorf("%s.roles: it gives no role", path)
	}
	for i, role := range g.Roles {
		if !slices.Contains(Roles, role) {
			return fmt.Errorf("%s.roles[%d]: %q is not one of %s", path, i, role, joinRoles())
		}
		if (role == RolePublish || role == RoleRead) && len(g.Topics) == 0 {
			return fmt.Errorf("%s.topics: the role %s needs them", path, role)
		}
		if role == RoleConsume && len(g.Subscriptions) == 0 {
			return fmt.Errorf("%s.subscriptions: the role %s needs them", path, role)
		}
		if role == RoleManage && len(g.Topics) == 0 && len(g.Subscriptions) == 0 {
			return fmt.Errorf("%s: the role %s needs topics or subscriptions", path, role)
		}
	}
	if len(g.EventTypes) > 0 && !slices.Contains(g.Roles, RolePublish) {
		return fmt.Errorf("%s.event_types: they are for the role %s alone", path, RolePublish)
	}
	for name, patterns := range map[string][]string{
		"principals": g.Principals, "groups": g.Groups, "topics": g.Topics,
		"subscriptions": g.Subscriptions, "event_types": g.EventTypes,
	} {
		if i := slices.Index(patterns, ""); i >= 0 {
			return fmt.Errorf("%s.%s[%d]: it is empty", path, name, i)
		}
	}
	return nil
}

func joinRoles() string {
	names := make([]string, len(Roles))
	for i, role := range Roles {
		names[i] = string(role)
	}
	return strings.Join(names, ", ")
}

// concerns reports whether a grant is for a principal.
func (g Grant) concerns(p Principal) bool { return p.isAmong(g.Principals, g.Groups) }

// isAmong reports whether patterns match the name or a group of a principal.
func (p Principal) isAmong(principals, groups []string) bool {
	return matchAny(principals, p.Name) || slices.ContainsFunc(p.Groups, func(group string) bool {
		return matchAny(groups, group)
	})
}

// allows reports whether a grant, which concerns the principal, gives a permission.
func (g Grant) allows(p Permission) bool {
	return slices.ContainsFunc(g.Roles, func(role Role) bool { return g.roleAllows(role, p) })
}

func (g Grant) roleAllows(role Role, p Permission) bool {
	topic := p.Topic != "" && matchAny(g.Topics, p.Topic)
	subscription := p.Subscription != "" && matchAny(g.Subscriptions, p.Subscription)
	switch {
	case role == RoleAdmin, p.Action == Connect:
		return true
	case p.Action == See:
		return topic && (role == RolePublish || role == RoleRead || role == RoleManage) ||
			subscription && (role == RoleConsume || role == RoleManage)
	case string(p.Action) != string(role):
		return false
	}
	switch role {
	case RolePublish:
		return topic && (p.EventType == "" || len(g.EventTypes) == 0 || matchAny(g.EventTypes, p.EventType))
	case RoleRead:
		return topic
	case RoleConsume:
		return subscription
	case RoleManage:
		return topic || subscription
	default: // Of the server.
		return true
	}
}

// Policy is what everybody may do. What no grant gives is denied.
type Policy []Grant

// Allows reports whether a principal may do something, and which grant says so: its
// index, or -1.
func (p Policy) Allows(principal Principal, permission Permission) (grant int, ok bool) {
	grant = slices.IndexFunc(p, func(g Grant) bool { return g.concerns(principal) && g.allows(permission) })
	return grant, grant >= 0
}

func (p Policy) validate() error {
	for i, grant := range p {
		if err := grant.validate(fmt.Sprintf("grants[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

func matchAny(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, text) })
}

// match reports whether a pattern matches a text: each * stands for any text, also
// none, and every other character for itself.
func match(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	for ok {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(text, part)
		}
		_, text, ok = strings.Cut(text, part)
	}
	return false
}
