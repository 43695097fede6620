package auth

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"orders", "orders", true},
		{"orders", "orders-2", false},
		{"orders", "", false},
		{"*", "", true},
		{"*", "a/b", true},
		{"orders-*", "orders-", true},
		{"orders-*", "orders", false},
		{"*-eu", "orders-eu", true},
		{"*-eu", "orders-eu-2", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "axbx", false},
		{"a**c", "ac", true},
		{"cert:spiffe://example.com/*", "cert:spiffe://example.com/ns/checkout", true},
		{"*b*b", "b", false},
	} {
		if got := match(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.text, got)
		}
	}
}

func TestPolicy(t *testing.T) {
	policy := Policy{
		{Principals: []string{"key:checkout"}, Roles: []Role{RolePublish}, Topics: []string{"orders"}, EventTypes: []string{"shop.orders.v1.*"}},
		{Groups: []string{"corp:payments"}, Roles: []Role{RoleRead, RoleConsume}, Topics: []string{"orders"}, Subscriptions: []string{"billing-*"}},
		{Principals: []string{"corp:ada"}, Roles: []Role{RoleManage}, Subscriptions: []string{"billing-*"}},
		{Principals: []string{"key:ci"}, Roles: []Role{RoleSchema, RoleMonitor}},
		{Principals: []string{"cert:root"}, Roles: []Role{RoleAdmin}},
	}
	if err := policy.validate(); err != nil {
		t.Fatal(err)
	}
	checkout, ada, nobody := Principal{Name: "key:checkout"}, Principal{Name: "corp:ada", Groups: []string{"corp:payments"}}, Principal{Name: "key:nobody", Groups: []string{"corp:payment"}}
	ci, root := Principal{Name: "key:ci"}, Principal{Name: "cert:root"}
	for _, test := range []struct {
		who  Principal
		what Permission
		want int
	}{
		{checkout, Permission{Action: Publish, Topic: "orders"}, 0},
		{checkout, Permission{Action: Publish, Topic: "orders", EventType: "shop.orders.v1.OrderPaid"}, 0},
		{checkout, Permission{Action: Publish, Topic: "orders", EventType: "shop.returns.v1.Return"}, -1},
		{checkout, Permission{Action: Publish, Topic: "orders2"}, -1},
		{checkout, Permission{Action: Read, Topic: "orders"}, -1},
		{checkout, Permission{Action: See, Topic: "orders"}, 0},
		{checkout, Permission{Action: See, Topic: "returns"}, -1},
		{checkout, Permission{Action: See, Subscription: "billing-eu"}, -1},
		{checkout, Permission{Action: Manage, Topic: "orders"}, -1},
		{checkout, Permission{Action: Connect}, 0},
		{checkout, Permission{Action: Monitor}, -1},
		{ada, Permission{Action: Read, Topic: "orders"}, 1},
		{ada, Permission{Action: Consume, Subscription: "billing-eu"}, 1},
		{ada, Permission{Action: Consume, Subscription: "billing"}, -1},
		{ada, Permission{Action: Consume, Topic: "orders"}, -1},
		{ada, Permission{Action: Manage, Subscription: "billing-eu"}, 2},
		{ada, Permission{Action: Manage, Topic: "billing-eu"}, -1},
		{ada, Permission{Action: Publish, Topic: "orders"}, -1},
		{nobody, Permission{Action: Connect}, -1},
		{nobody, Permission{Action: Read, Topic: "orders"}, -1},
		{ci, Permission{Action: Schema}, 3},
		{ci, Permission{Action: Monitor}, 3},
		{ci, Permission{Action: See, Topic: "orders"}, -1},
		{root, Permission{Action: Manage, Topic: "orders"}, 4},
		{root, Permission{Action: Monitor}, 4},
		{root, Permission{Action: Publish, Topic: "orders", EventType: "a.B"}, 4},
		{Principal{}, Permission{Action: Connect}, -1},
	} {
		if grant, ok := policy.Allows(test.who, test.what); grant != test.want || ok != (test.want >= 0) {
			t.Errorf("%s, %s: grant %d, %v, want %d", test.who.Name, test.what, grant, ok, test.want)
		}
	}
}

func TestGrantsThatAreWrong(t *testing.T) {
	for want, grant := range map[string]Grant{
		"grants[0]: it names no principals":      {Roles: []Role{RoleAdmin}},
		"grants[0].roles: it gives no role":      {Principals: []string{"a"}},
		`grants[0].roles[1]: "reed"`:             {Principals: []string{"a"}, Roles: []Role{RoleAdmin, "reed"}},
		"grants[0].topics: the role publish":     {Principals: []string{"a"}, Roles: []Role{RolePublish}},
		"grants[0].topics: the role read":        {Principals: []string{"a"}, Roles: []Role{RoleRead}, Subscriptions: []string{"*"}},
		"grants[0].subscriptions: the role":      {Principals: []string{"a"}, Roles: []Role{RoleConsume}, Topics: []string{"*"}},
		"grants[0]: the role manage needs":       {Principals: []string{"a"}, Roles: []Role{RoleManage}},
		"grants[0].event_types: they are for":    {Principals: []string{"a"}, Roles: []Role{RoleRead}, Topics: []string{"*"}, EventTypes: []string{"a.B"}},
		"grants[0].principals[1]: it is empty":   {Principals: []string{"a", ""}, Roles: []Role{RoleAdmin}},
		"grants[0].subscriptions[0]: it is empt": {Groups: []string{"a"}, Roles: []Role{RoleConsume}, Subscriptions: []string{""}},
	} {
		if err := (Policy{grant}).validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
