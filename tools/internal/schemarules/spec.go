// Package schemarules holds the rules of this project for schemas, which Buf
// applies beside its own: lint rules about one state of the schemas, and breaking
// rules about a change of them. docs/rules.md tells of each.
package schemarules

import (
	"buf.build/go/bufplugin/check"
	"buf.build/go/bufplugin/info"
)

// Category is the category of all rules: what buf.yaml lists under `use`.
const Category = "TIDINGS"

// Spec returns the plugin that Buf runs.
func Spec() *check.Spec {
	return &check.Spec{
		Rules: []*check.RuleSpec{
			validationNoTighten(),
			validationComparable(),
			addedFieldOptional(),
			eventOptionNoDelete(),
			eventSameTopic(),
			eventSameKey(),
			topicNoDelete(),
			topicSameDedupe(),
			topicNoShorten(),
			topicTypesNoNarrow(),
			enumValueSameJSONName(),
			deprecationNoDelete(),
			stablePackageNoDelete(),

			eventTopic(),
			eventKey(),
			topicDeclaredOnce(),
			topicSettings(),
			deprecationReplacement(),
			listPagination(),
			rpcErrors(),
			errorReasonOption(),
		},
		Categories: []*check.CategorySpec{{
			ID:      Category,
			Purpose: "Checks what Tidings asks of schemas beyond Buf's own rules.",
		}},
		Info: &info.Spec{
			Documentation: "The rules of Tidings for schemas of events and for its own contract.",
			SPDXLicenseID: "apache-2.0",
			LicenseURL:    "https://www.apache.org/licenses/LICENSE-2.0",
		},
	}
}

func lint(id, purpose string, handler check.RuleHandler) *check.RuleSpec {
	return rule(id, purpose, check.RuleTypeLint, handler)
}

func breaking(id, purpose string, handler check.RuleHandler) *check.RuleSpec {
	return rule(id, purpose, check.RuleTypeBreaking, handler)
}

func rule(id, purpose string, kind check.RuleType, handler check.RuleHandler) *check.RuleSpec {
	return &check.RuleSpec{
		ID:          id,
		CategoryIDs: []string{Category},
		Default:     true,
		Purpose:     purpose,
		Type:        kind,
		Handler:     handler,
	}
}
