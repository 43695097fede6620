package main

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/tidings/server/internal/cli"
	"example.com/tidings/server/internal/daemon"
)

const helpColumns = 80

var (
	subcommand = regexp.MustCompile(`(?m)^ {2}([a-z][a-z-]*) +[A-Z]`)
	helpFlag   = regexp.MustCompile(`(?m)^ {2}(?:-[a-zA-Z], | {4})--([a-z][a-z-]*)( \S+)?`)
	capitals   = regexp.MustCompile(`^ [A-Z]+([:=][A-Z]+)?$`)
)

// withoutServer are the commands that call no server.
var withoutServer = []string{"backup", "init", "restore", "serve", "storage", "version"}

// help returns the help of a command.
func help(t *testing.T, path []string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	program := cli.Program{Version: daemon.Version, Commands: daemon.Commands(), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr}
	if status := cli.Main(t.Context(), append(slices.Clone(path), "--help"), program); status != 0 {
		t.Fatalf("%v --help: status %d, %s", path, status, &stderr)
	}
	return stdout.String()
}

// subcommands returns the commands that a help lists, except cobra's own.
func subcommands(text string) (names []string) {
	_, list, _ := strings.Cut(text, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range subcommand.FindAllStringSubmatch(list, -1) {
		if m[1] != "help" && m[1] != "completion" {
			names = append(names, m[1])
		}
	}
	return names
}

func TestHelp(t *testing.T) {
	commands := 0
	var walk func(path []string)
	walk = func(path []string) {
		commands++
		text := help(t, path)
		name := strings.Join(append([]string{"tidings"}, path...), " ")
		checkHelp(t, name, text)
		if flags := flagsOf(text); len(path) > 0 {
			if want := !slices.Contains(withoutServer, path[0]); flags["server"] != want || flags["timeout"] != want {
				t.Errorf("%s: --server and --timeout are listed: %v, %v; want %v", name, flags["server"], flags["timeout"], want)
			}
			if flags["nats-url"] && path[0] != "serve" {
				t.Errorf("%s lists flags of the server", name)
			}
		}
		for _, sub := range subcommands(text) {
			walk(append(slices.Clone(path), sub))
		}
	}
	walk(nil)
	if commands < 35 {
		t.Errorf("found only %d commands", commands)
	}
}

// checkHelp checks what the help of every command has.
func checkHelp(t *testing.T, name, text string) {
	t.Helper()
	if _, examples, ok := strings.Cut(text, "\nExamples:\n"); !ok || !strings.HasPrefix(examples, "  tidings ") && !strings.HasPrefix(examples, "  buf ") {
		t.Errorf("%s has no example", name)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, `Use "tidings `) {
			continue // Cobra's.
		}
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpColumns {
			t.Errorf("%s: a line of the help has %d columns: %s", name, n, line)
		}
	}
	for _, flag := range helpFlag.FindAllStringSubmatch(text, -1) {
		if placeholder := flag[2]; placeholder != "" && !capitals.MatchString(placeholder) {
			t.Errorf("%s: the placeholder of --%s is%s", name, flag[1], placeholder)
		}
	}
}

// flagsOf returns the flags that a help lists.
func flagsOf(text string) map[string]bool {
	flags := make(map[string]bool)
	for _, flag := range helpFlag.FindAllStringSubmatch(text, -1) {
		flags[flag[1]] = true
	}
	return flags
}
