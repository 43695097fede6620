package main

import (
	"strings"
	"testing"
)

// withField is the schema with a field more.
var withField = strings.Replace(schema, "}\n", "  string y = 2;\n}\n", 1)

// waive writes a list of one waiver.
func (c checkout) waive(rule, symbol, expires string) {
	c.t.Helper()
	c.write(waiverFile, "- rule: "+rule+"\n  symbol: "+symbol+"\n  reason: nobody has it\n  expires: "+expires+"\n")
}

// waivePackage writes a list of one waiver of a whole package.
func (c checkout) waivePackage(pkg, expires string) {
	c.t.Helper()
	c.write(waiverFile, "- package: "+pkg+"\n  reason: all of it is new\n  expires: "+expires+"\n")
}

func TestWaivers(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.write(protoFile, withField)
	c.commit("add a field that no release has")
	c.command("git", "checkout", "--quiet", "-b", "change")
	c.write("README.md", "on the branch")
	c.commit("on the branch")
	c.write(protoFile, schema)
	c.waive("FIELD_NO_DELETE", "a.v1.A.y", "2030-03-01")
	c.expect("", "", "waived until 2030-03-01", "nobody has it")
	c.waive("FIELD_NO_DELETE", "a.v1.A.z", "2030-03-01")
	c.expect("", "1 breaking changes against reference.binpb", "(a.v1.A.y)")
	c.waive("FIELD_SAME_NAME", "a.v1.A.y", "2030-03-01")
	c.expect("", "1 breaking changes against reference.binpb")
	c.waive("FIELD_NO_DELETE", "a.v1.A.y", "soon")
	c.expect("", "entry 1 needs a rule and a symbol, or a package, a reason, and a date")
	c.write(waiverFile, "- rule: FIELD_NO_DELETE\n  symbol: a.v1.A.y\n  expires: 2030-03-01\n")
	c.expect("", "entry 1 needs a rule and a symbol, or a package, a reason, and a date")

	// What a release has is not waived by a waiver alone.
	c.write(protoFile, withoutField)
	c.waive("FIELD_NO_DELETE", "a.v1.A.x", "2030-03-01")
	c.expect("", "1 breaking changes against v0.1.0.binpb", "a release promised this")
}

func TestExpiredWaiverFails(t *testing.T) {
	c := newCheckout(t)
	c.release("v0.1.0")
	c.commit("first")
	// Nothing is broken, so only the date can be what is wrong.
	c.waive("FIELD_NO_DELETE", "a.v1.A.y", "2030-03-01")
	c.expect("", "")
	c.waive("FIELD_NO_DELETE", "a.v1.A.y", "2030-02-28")
	c.expect("", "entry 1, of FIELD_NO_DELETE for a.v1.A.y, has expired on 2030-02-28")
}

func TestStablePackagesBreakOnlyBefore1AndWithAnEntry(t *testing.T) {
	for name, test := range map[string]struct {
		version, log string
		allowed      bool
	}{
		"told of, before 1.0.0": {"0.9.0", told, true},
		"told of, from 1.0.0":   {"1.0.0", told, false},
		"told of before":        {"0.9.0", toldEarly, false},
		"nothing said":          {"0.9.0", strings.Replace(told, "- x is gone.\n", "", 1), false},
		"no change log":         {"0.9.0", "", false},
		"no version":            {"", told, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheckout(t)
			c.release("v0.1.0")
			c.commit("first")
			c.write("VERSION", test.version+"\n")
			c.write("CHANGELOG.md", test.log)
			c.write(protoFile, withoutField)
			c.expect("", "1 breaking changes against v0.1.0.binpb", "(a.v1.A.x)")
			c.waive("FIELD_NO_DELETE", "a.v1.A.x", "2030-03-01")
			if test.allowed {
				c.expect("", "", "waived until 2030-03-01")
			} else {
				c.expect("", "1 breaking changes against v0.1.0.binpb")
			}
		})
	}
}

func TestUnstablePackagesCanBreakWithAWaiver(t *testing.T) {
	const betaFile = "proto/a/v1beta1/a.proto"
	beta := strings.NewReplacer("a.v1", "a.v1beta1", "a/v1", "a/v1beta1").Replace(schema)
	c := newCheckout(t)
	c.write(betaFile, beta)
	c.write("VERSION", "1.0.0\n")
	c.release("v1.0.0")
	c.commit("first")
	c.write(betaFile, strings.Replace(beta, "  string x = 1;\n", "", 1))
	c.expect("", "1 breaking changes against v1.0.0.binpb", "(a.v1beta1.A.x)")
	c.waive("FIELD_NO_DELETE", "a.v1beta1.A.x", "2030-03-01")
	c.expect("", "", "waived until 2030-03-01")
	c.command("git", "rm", "--quiet", "--force", betaFile)
	c.waive("FILE_NO_DELETE", "a/v1beta1/a.proto", "2030-03-01")
	c.expect("", "", "waived until 2030-03-01")
}

// told is a change log that tells of a break that no release has.
const told = "# Changes\n\n## [Unreleased]\n\n### Breaking\n\n- x is gone.\n\n## [0.1.0] - 2030-01-01\n"

// toldInRelease is the same after the release of the break.
var toldInRelease = strings.Replace(told, "[Unreleased]\n", "[Unreleased]\n\n## [0.2.0] - 2030-03-01\n", 1)

const toldEarly = "# Changes\n\n## [Unreleased]\n\n## [0.1.0] - 2030-01-01\n\n### Breaking\n\n- All of it.\n"

// newBreak is a checkout in which a branch breaks a package as a whole, in more
// ways than one: a field, a message and a file are gone. Another package is
// untouched.
func newBreak(t *testing.T) checkout {
	t.Helper()
	c := newCheckout(t)
	c.write(protoFile, withField+"\nmessage B {}\n")
	c.write("proto/a/v1/more.proto", strings.NewReplacer("message A", "message C").Replace(schema))
	c.write(otherFile, otherSchema)
	c.write("VERSION", "0.1.0\n")
	c.write("CHANGELOG.md", toldEarly)
	c.release("v0.1.0")
	c.commit("first")
	c.command("git", "checkout", "--quiet", "-b", "change")
	c.write("README.md", "on the branch")
	c.commit("on the branch")
	c.write(protoFile, withoutField)
	c.command("git", "rm", "--quiet", "proto/a/v1/more.proto")
	return c
}

func TestPackagesAreWaivedWhileTheChangeLogTells(t *testing.T) {
	c := newBreak(t)
	c.waivePackage("a.v1", "2030-03-01")
	const needs = "a whole package is waived only until 1.0.0"
	c.expect("", "4 breaking changes against v0.1.0.binpb", "a release promised this", needs)

	c.write("CHANGELOG.md", told)
	c.expect("", "", "waived until 2030-03-01", "FIELD_NO_DELETE", "MESSAGE_NO_DELETE", "FILE_NO_DELETE", "all of it is new")

	// The release of the break is part of the change.
	c.write("CHANGELOG.md", toldInRelease)
	c.write("VERSION", "0.2.0\n")
	c.expect("", "4 breaking changes against v0.1.0.binpb", "a release promised this")
	c.release("v0.2.0")
	c.expect("", "", "waived until 2030-03-01")

	// On main, once it is there.
	c.commit("release")
	c.command("git", "branch", "--force", "main")
	c.expect("", "", "waived until 2030-03-01", "what came before")

	// The next change finds the release there, so it tells of its own breaks.
	c.write("README.md", "after the release")
	c.commit("after the release")
	c.write(protoFile, strings.Replace(withoutField, "message A", "message D", 1))
	c.expect("", "1 breaking changes against v0.2.0.binpb", "(a.v1.A)", needs)
}

func TestPackagesAreWaivedBefore1Alone(t *testing.T) {
	c := newBreak(t)
	c.write("CHANGELOG.md", told)
	c.waivePackage("a.v1", "2030-03-01")
	for _, version := range []string{"1.0.0", "2.3.4"} {
		c.write("VERSION", version+"\n")
		c.expect("", "4 breaking changes against reference.binpb", "a whole package is waived only until 1.0.0")
	}
	c.write("VERSION", "0.99.0\n")
	c.expect("", "")
}

func TestWaiverOfAPackageIsForThatPackage(t *testing.T) {
	c := newBreak(t)
	c.write("CHANGELOG.md", told)
	c.waivePackage("a.v1", "2030-03-01")
	c.write(otherFile, strings.Replace(otherSchema, "  string x = 1;\n", "", 1))
	c.expect("", "1 breaking changes against v0.1.0.binpb", "(b.v1.A.x)")
	c.waivePackage("b.v1", "2030-03-01")
	c.expect("", "4 breaking changes against v0.1.0.binpb", "(a.v1.B)")
	for _, unknown := range []string{"a", "a.v2", "A.v1"} {
		c.waivePackage(unknown, "2030-03-01")
		c.expect("", "there is no package "+unknown)
	}
	c.waivePackage("a.v1", "2030-02-28")
	c.expect("", "entry 1, of package a.v1, has expired on 2030-02-28")
	for _, mixed := range []string{"rule: FIELD_NO_DELETE", "symbol: a.v1.A.x"} {
		c.write(waiverFile, "- package: a.v1\n  "+mixed+"\n  reason: both\n  expires: 2030-03-01\n")
		c.expect("", "entry 1 needs a rule and a symbol, or a package")
	}
	entry := "- package: a.v1\n  reason: twice\n  expires: 2030-03-01\n"
	c.write(waiverFile, entry+entry)
	c.expect("", "entry 2, of package a.v1, is there twice")
}
