package architecture

import (
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// public packages; one that does not exist yet exports nothing.
var public = []string{"capebase", "policy", "auth", "auth/jwt", "sqlite", "postgres", "mysql", "accounts", "accounts/outbox", "accounts/smtp", "tracing"}

var update = flag.Bool("update", false, "write api.txt")

// TestAPI compares what the public packages export with api.txt, so that a change of it is seen in review.
//
//	go test ./internal/architecture -run TestAPI -update
func TestAPI(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("..", "..", "api.txt")
	got := strings.Join(exported(t), "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("what the public packages export is not what api.txt says (- there, + now); -update writes it down:\n%s",
			difference(strings.Split(string(want), "\n"), strings.Split(got, "\n")))
	}
}

// difference lists the lines that only one of two sorted lists has.
func difference(before, after []string) string {
	var lines []string
	for _, line := range before {
		if !slices.Contains(after, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			lines = append(lines, "+ "+line)
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return strings.Join(lines, "\n")
}

// exported lists what the public packages export, a line each.
func exported(t *testing.T) []string {
	t.Helper()
	// The compiler's export data has every type, also of the packages that a signature names.
	packages := goList(t, []string{"CGO_ENABLED=0"}, append([]string{"-export", "-deps"}, existing(t)...)...)
	files := map[string]string{}
	for _, p := range packages {
		files[p.ImportPath] = p.Export
	}
	compiled := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(files[path])
	})
	var lines []string
	for _, name := range public {
		importPath := path.Join(module, name)
		if name == "capebase" {
			importPath = module
		}
		if files[importPath] == "" {
			continue
		}
		p, err := compiled.Import(importPath)
		if err != nil {
			t.Fatal(err)
		}
		surface := surface{name: name, pkg: p}
		surface.add()
		lines = append(lines, surface.lines...)
	}
	if len(lines) == 0 {
		t.Fatal("no public package was found")
	}
	return lines
}

// existing lists the folders of the public packages that exist.
func existing(t *testing.T) []string {
	t.Helper()
	var folders []string
	for _, name := range public {
		if name == "capebase" {
			name = "."
		}
		sources, err := filepath.Glob(filepath.Join("..", "..", name, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(sources) > 0 {
			folders = append(folders, "./"+name)
		}
	}
	return folders
}

// surface collects a package's exported identifiers.
type surface struct {
	name  string
	pkg   *types.Package
	lines []string
}

func (s *surface) add() {
	scope := s.pkg.Scope()
	for _, name := range scope.Names() {
		if !token.IsExported(name) {
			continue
		}
		switch object := scope.Lookup(name).(type) {
		case *types.Const:
			s.line(name, "const "+s.text(object.Type())+" = "+object.Val().ExactString())
		case *types.Var:
			s.line(name, "var "+s.text(object.Type()))
		case *types.Func:
			s.line(name, s.text(object.Type()))
		case *types.TypeName:
			s.typeName(name, object)
		}
	}
	slices.Sort(s.lines)
}

// typeName adds a type with its exported fields and methods. An alias of an internal type shows that type's: nobody
// can look them up elsewhere.
func (s *surface) typeName(name string, object *types.TypeName) {
	named, _ := types.Unalias(object.Type()).(*types.Named)
	if object.IsAlias() {
		s.line(name, "type = "+s.text(types.Unalias(object.Type())))
		if named == nil || named.Obj().Pkg() == nil || !strings.HasPrefix(named.Obj().Pkg().Path(), module+"/internal/") {
			return
		}
	}
	underlying := object.Type().Underlying()
	switch underlying := underlying.(type) {
	case *types.Struct:
		s.declare(name, named, object, "struct")
		s.fields(name, underlying)
	case *types.Interface:
		s.declare(name, named, object, "interface")
		for method := range underlying.ExplicitMethods() {
			if method.Exported() {
				s.line(name+"."+method.Name(), "interface method "+s.text(method.Type()))
			} else {
				s.line(name, "interface with unexported methods")
			}
		}
		for embedded := range underlying.EmbeddedTypes() {
			s.line(name, "interface with "+s.text(embedded))
		}
	default:
		s.declare(name, named, object, s.text(underlying))
	}
	if named == nil {
		return
	}
	for method := range named.Origin().Methods() {
		if !method.Exported() {
			continue
		}
		receiver := method.Signature().Recv().Type()
		s.line(name+"."+method.Name(), "method ("+s.text(receiver)+") "+s.text(method.Type()))
	}
}

// declare adds a type's own line; an alias has one already.
func (s *surface) declare(name string, named *types.Named, object *types.TypeName, kind string) {
	if object.IsAlias() {
		return
	}
	if named != nil && named.TypeParams().Len() > 0 {
		s.line(name, "type "+s.text(object.Type())+" "+kind)
		return
	}
	s.line(name, "type "+kind)
}

func (s *surface) fields(name string, structure *types.Struct) {
	for i := range structure.NumFields() {
		field := structure.Field(i)
		if !field.Exported() {
			continue
		}
		kind := "field "
		if field.Embedded() {
			kind = "embedded "
		}
		line := kind + s.text(field.Type())
		if tag := structure.Tag(i); tag != "" {
			line += " `" + tag + "`"
		}
		s.line(name+"."+field.Name(), line)
	}
}

// text writes a type; types of other packages get their package's name.
func (s *surface) text(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == s.pkg {
			return ""
		}
		return p.Name()
	})
}

func (s *surface) line(name, declaration string) {
	s.lines = append(s.lines, fmt.Sprintf("%s.%s %s", s.name, name, declaration))
}
