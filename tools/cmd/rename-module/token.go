package main

import (
	"bytes"
	"strings"

	"example.com/tidings/tools/internal/names"
)

// A token is a name as it stands in text.
type token struct {
	before, after string

	// What may follow it as part of a longer name that it begins, besides what begins
	// a new element: "-1.0.tgz" of an archive.
	hyphen bool
}

// tokens returns the names that follow from a path, each with what it becomes.
func tokens(before, after names.Names) []token {
	return []token{
		{before: before.Module, after: after.Module},
		{before: before.Buf(), after: after.Buf()},
		{before: before.NPM(), after: after.NPM()},
		{before: before.Package(), after: after.Package(), hyphen: true},
		{before: before.Identifier(), after: after.Identifier(), hyphen: true},
		{before: before.Java, after: after.Java},
		{before: before.JavaDirectory(), after: after.JavaDirectory()},
	}
}

// replaceAll puts the new names in the place of the old ones, in one go from the
// start to the end: what was replaced is not looked at again.
func replaceAll(data []byte, tokens []token) []byte {
	next := make([]int, len(tokens)) // Where each of them stands next.
	for i, t := range tokens {
		next[i] = t.find(data, 0)
	}
	var out bytes.Buffer
	done := 0
	for {
		best := -1
		for i, t := range tokens {
			if next[i] >= 0 && next[i] < done {
				next[i] = t.find(data, done)
			}
			if next[i] >= 0 && (best < 0 || next[i] < next[best] ||
				next[i] == next[best] && len(t.before) > len(tokens[best].before)) {
				best = i
			}
		}
		if best < 0 {
			out.Write(data[done:])
			return out.Bytes()
		}
		out.Write(data[done:next[best]])
		out.WriteString(tokens[best].after)
		done = next[best] + len(tokens[best].before)
	}
}

// find returns the offset, from a given one on, at which the name stands as a whole
// or as the first elements of a longer one, and not within another name. -1: there
// is none.
func (t token) find(data []byte, from int) int {
	for {
		i := bytes.Index(data[from:], []byte(t.before))
		if i < 0 {
			return -1
		}
		start, end := from+i, from+i+len(t.before)
		if !endsName(data[:start]) && !t.startsName(data[end:]) {
			return start
		}
		from = end
	}
}

// endsName reports whether what stands before a name makes it part of another,
// such as that of a host.
func endsName(before []byte) bool {
	return len(before) > 0 && (isNameByte(before[len(before)-1]) || before[len(before)-1] == '.')
}

// startsName reports whether what stands after a name continues its last element.
// A dot does so in paths, unless it ends a sentence.
func (t token) startsName(after []byte) bool {
	switch {
	case len(after) == 0:
		return false
	case after[0] == '.':
		return t.isPath() && len(after) > 1 && isNameByte(after[1])
	case after[0] == '-':
		return !t.hyphen
	}
	return isNameByte(after[0])
}

// isPath reports whether the elements of the name are parted by slashes, and not by
// dots.
func (t token) isPath() bool { return strings.Contains(t.before, "/") }

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '~'
}
