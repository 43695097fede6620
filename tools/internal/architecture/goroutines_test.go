package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"example.com/tidings/tools/internal/workspace"
)

// TestGoroutinesAreGuarded holds that no goroutine of the server or the command
// is started but with package guard: a panic in any other ends the process.
func TestGoroutinesAreGuarded(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	guarded := 0
	dir := filepath.Join(root, "server", "internal")
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			filepath.Base(filepath.Dir(path)) == "guard" {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		good, bad := goroutines(file)
		guarded += good
		for _, at := range bad {
			t.Errorf("%s: start it with guard.Go, a guard.Group, or give an errgroup a guard.Func", files.Position(at))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if guarded < 10 {
		t.Errorf("only %d goroutines were found", guarded)
	}
}

func TestGoroutinesAreFound(t *testing.T) {
	for code, want := range map[string]struct{ good, bad int }{
		`go f()`:                                {0, 1},
		`go func() {}()`:                        {0, 1},
		`group.Go(f)`:                           {0, 1},
		`x.ended.Go(func() { go f() })`:         {0, 2},
		`group.Go(guard.Func(f))`:               {1, 0},
		`guard.Go(f, ended)`:                    {1, 0},
		`x.group.Go(f, func(error) { go g() })`: {1, 1},
		`f(); x.Gone(f)`:                        {0, 0},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p; func _() { "+code+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if good, bad := goroutines(file); good != want.good || len(bad) != want.bad {
			t.Errorf("%s: %d guarded and %d others, want %v", code, good, len(bad), want)
		}
	}
}

// goroutines returns how many goroutines of a file are guarded, and where the
// others are started: by a go statement, or by a method Go that takes nothing
// but a function, such as those of sync.WaitGroup and errgroup.Group.
func goroutines(file *ast.File) (guarded int, others []token.Pos) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			others = append(others, node.Pos())
		case *ast.CallExpr:
			method, ok := node.Fun.(*ast.SelectorExpr)
			switch {
			case !ok || method.Sel.Name != "Go" || len(node.Args) == 0:
			case len(node.Args) > 1 || isGuardFunc(node.Args[0]):
				guarded++
			default:
				others = append(others, node.Pos())
			}
		}
		return true
	})
	return guarded, others
}

// isGuardFunc reports whether an expression calls guard.Func.
func isGuardFunc(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || function.Sel.Name != "Func" {
		return false
	}
	pkg, ok := function.X.(*ast.Ident)
	return ok && pkg.Name == "guard"
}
