package securebuild_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A file of ours, with its package as the folder's path in the module.
type file struct {
	name, pkg string
	ast       *ast.File
}

// imports lists what the file imports.
func (f file) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// uses lists the names that the file refers to, as "os.Exit" or "panic", with
// the line of each. A package under another name is listed by its own.
func (f file) uses(fset *token.FileSet) map[string][]int {
	packages := map[string]string{}
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		packages[local] = path.Base(p)
	}
	used := map[string][]int{}
	add := func(name string, n ast.Node) { used[name] = append(used[name], fset.Position(n.Pos()).Line) }
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && packages[x.Name] != "" {
				add(packages[x.Name]+"."+n.Sel.Name, n)
			}
			add("."+n.Sel.Name, n)
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.Ident); ok {
				add(fun.Name, n)
			}
		}
		return true
	})
	return used
}

// source parses every Go file of the module that is not a test.
func source(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	for _, root := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			tree, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			files = append(files, file{name: filepath.ToSlash(name), pkg: path.Dir(filepath.ToSlash(name)), ast: tree})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 20 {
		t.Fatalf("found %d files: is this the root of the module?", len(files))
	}
	return fset, files
}
