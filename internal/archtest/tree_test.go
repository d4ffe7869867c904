package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the module's path: what our own imports begin with.
const module = "amend"

// tree is the project's sources, in the order of their paths. Files are
// parsed, never built, so that all build tags are seen and a package that
// doesn't compile yet can still be judged.
type tree []*file

// file is one source file.
type file struct {
	path string // from the project's root, with slashes
	text string

	// What follows is empty unless the file is Go.
	positions *token.FileSet
	syntax    *ast.File
	imports   []string
}

// suffixes are the files that are looked at.
var suffixes = []string{".go", ".md", ".sql", ".html"}

// load reads the project. It passes over hidden folders, testdata, and folders
// that are modules of their own.
func load(root fs.FS) (tree, error) {
	var files tree
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && passedOver(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(suffixes, path.Ext(name)) {
			return nil
		}
		file, err := read(root, name)
		files = append(files, file)
		return err
	})
	return files, err
}

func passedOver(root fs.FS, folder string) bool {
	base := path.Base(folder)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return true
	}
	_, err := fs.Stat(root, path.Join(folder, "go.mod"))
	return err == nil
}

func read(root fs.FS, name string) (*file, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	f := &file{path: name, text: string(text)}
	if path.Ext(name) != ".go" {
		return f, nil
	}
	f.positions = token.NewFileSet()
	f.syntax, err = parser.ParseFile(f.positions, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	for _, spec := range f.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

func (f *file) isGo() bool        { return f.syntax != nil }
func (f *file) isTest() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) isGenerated() bool { return f.isGo() && ast.IsGenerated(f.syntax) }
func (f *file) folder() string    { return path.Dir(f.path) }

// servesTests tells whether the file is a test or a helper of tests.
func (f *file) servesTests() bool {
	return f.isTest() || slices.Contains(f.imports, "testing")
}

func (f *file) imported(name string) bool { return slices.Contains(f.imports, name) }

// line is where a node stands.
func (f *file) line(node token.Pos) int { return f.positions.Position(node).Line }

// lines counts the file's lines.
func (f *file) lines() int {
	return strings.Count(strings.TrimSuffix(f.text, "\n"), "\n") + 1
}

// production is the Go files that end up in programs.
func (t tree) production() []*file {
	return slices.DeleteFunc(slices.Clone(t), func(f *file) bool { return !f.isGo() || f.isTest() })
}

// folders are the folders that hold production code, each once, in order.
func (t tree) folders() []string {
	var folders []string
	for _, f := range t.production() {
		folders = append(folders, f.folder())
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}
