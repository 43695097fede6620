package mutation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"example.com/tidings/tools/internal/workspace"
)

// document says what each change means. Its tables are checked against the pairs.
const document = "docs/compatibility.md"

// The columns of its tables, and the last one, which reports whether the changes are
// refused or pass.
var (
	columns      = []string{"change", "producers", "consumers", "stored events", "generated code"}
	refusedBy    = "refused by"
	passesBeside = "passes beside"
)

// A row is one change in the document.
type row struct {
	change string
	effect effect // What its cells say.
	passes bool   // Else it is refused.
	// The ids of rules that its last cell names, in order.
	rules []string
	// The pairs that its last cell names, by their titles, with the data files that
	// the links lead to.
	pairs map[string]string
}

// readRows reads the tables of the document that are about changes.
func readRows(t *testing.T) []row {
	t.Helper()
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil {
		t.Fatal(err)
	}
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	var rows []row
	var ours, passes bool // What the rows that follow are.
	if err := ast.Walk(parser.Parse(text.NewReader(source)), func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node.(type) {
		case *tables.TableHeader:
			cells := cellTexts(node, source)
			passes = slices.Equal(cells, append(slices.Clone(columns), passesBeside))
			ours = passes || slices.Equal(cells, append(slices.Clone(columns), refusedBy))
			if !ours && cells[0] == columns[0] {
				return ast.WalkStop, fmt.Errorf("a table of changes has the columns %q", cells)
			}
		case *tables.TableRow:
			if !ours {
				return ast.WalkSkipChildren, nil
			}
			cells := cellTexts(node, source)
			r := row{change: cells[0], effect: effect{cells[1], cells[2], cells[3]}, passes: passes}
			r.rules, r.pairs, err = references(node.LastChild(), source)
			rows = append(rows, r)
			return ast.WalkSkipChildren, err
		}
		return ast.WalkContinue, nil
	}); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return rows
}

// cellTexts returns the texts of a row's cells.
func cellTexts(row ast.Node, source []byte) []string {
	var cells []string
	for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
		cells = append(cells, plain(cell, source))
	}
	return cells
}

// plain returns the text below a node.
func plain(node ast.Node, source []byte) string {
	if leaf, ok := node.(*ast.Text); ok {
		return string(leaf.Segment.Value(source))
	}
	var b strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		b.WriteString(plain(child, source))
	}
	return b.String()
}

// references returns the rules that a cell names as code, and the pairs that it
// links to.
func references(cell ast.Node, source []byte) (rules []string, pairs map[string]string, err error) {
	pairs = map[string]string{}
	err = ast.Walk(cell, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		switch node := node.(type) {
		case *ast.CodeSpan:
			if entering {
				rules = append(rules, plain(node, source))
			}
		case *ast.Link:
			pairs[plain(node, source)] = string(node.Destination)
		}
		return ast.WalkContinue, nil
	})
	slices.Sort(rules)
	return slices.Compact(rules), pairs, err
}

// side returns the change of a pair that a row is about.
func (r row) side(p pair) side {
	if r.passes {
		return p.Passes
	}
	return p.Caught
}

// changesByTitle returns the pairs that are about changes.
func changesByTitle(t *testing.T) map[string]pair {
	t.Helper()
	byTitle := map[string]pair{}
	for _, p := range readPairs(t) {
		if p.command == "breaking" {
			byTitle[p.title()] = p
		}
	}
	return byTitle
}

// TestDocumentNamesItsPairs checks that every row names pairs that there are, with
// all rules that they are caught by and no others, and that every change that is
// caught is in a row.
func TestDocumentNamesItsPairs(t *testing.T) {
	byTitle := changesByTitle(t)
	told := map[string]bool{}
	for _, r := range readRows(t) {
		if len(r.pairs) == 0 {
			t.Errorf("%q names no pair", r.change)
		}
		var rules []string
		for title, link := range r.pairs {
			p, ok := byTitle[title]
			if !ok {
				t.Errorf("%q: there is no pair %q", r.change, title)
				continue
			}
			if want := "../tools/internal/mutation/" + filepath.ToSlash(p.source); link != want {
				t.Errorf("%q: %q is in %s, not in %s", r.change, title, want, link)
			}
			rules = append(rules, p.Rule)
			if r.passes {
				continue
			}
			told[title] = true
			for _, also := range p.Caught.Also {
				rules = append(rules, also.Rule)
			}
		}
		slices.Sort(rules)
		if rules = slices.Compact(rules); !slices.Equal(r.rules, rules) {
			t.Errorf("%q names the rules %v, its pairs are about %v", r.change, r.rules, rules)
		}
	}
	for title := range byTitle {
		if !told[title] {
			t.Errorf("no row says what the change of %q means", title)
		}
	}
}

// TestEffects sends events across the changes, and compares what becomes of them
// with what the document says.
func TestEffects(t *testing.T) {
	g := newGround(t)
	before, err := readSchemas(g.image)
	if err != nil {
		t.Fatal(err)
	}
	byTitle := changesByTitle(t)
	for _, r := range readRows(t) {
		for title := range r.pairs {
			p, ok := byTitle[title]
			if !ok {
				continue // TestDocumentNamesItsPairs says so.
			}
			t.Run(r.change+"/"+title, func(t *testing.T) {
				t.Parallel()
				s := r.side(p)
				if s.Event == nil {
					r.effect.sayNothingMeasured(t)
					return
				}
				got, err := g.effect(t.Context(), before, p, s)
				if err != nil {
					t.Fatalf("%s: %v", p.source, err)
				}
				for _, cell := range []struct{ column, says, measured string }{
					{"producers", r.effect.producers, got.producers},
					{"consumers", r.effect.consumers, got.consumers},
					{"stored events", r.effect.stored, got.stored},
				} {
					if !begins(cell.says, cell.measured) {
						t.Errorf("%s: the document says %q, and it is %q", cell.column, cell.says, cell.measured)
					}
				}
			})
		}
	}
}

// begins reports whether a cell consists of words, or begins with them as a sentence.
func begins(cell, words string) bool {
	return cell == words || strings.HasPrefix(cell, words+". ")
}

// sayNothingMeasured checks that the cells don't use the words of what is measured:
// no event is sent across the change.
func (e effect) sayNothingMeasured(t *testing.T) {
	t.Helper()
	for _, cell := range []string{e.producers, e.consumers, e.stored} {
		for _, words := range outcomes {
			if begins(cell, words) {
				t.Errorf("the document says %q, and no event shows it", cell)
			}
		}
	}
}
