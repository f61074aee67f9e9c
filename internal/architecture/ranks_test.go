package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/capebase/capebase"

// The rules that no rank can tell.
var (
	// beds are packages that only tests may import, and programs that serve tests.
	beds = []string{"internal/dbtest", "internal/dbtest/with", "internal/dbtest/engines", "internal/exampletest", "internal/apitest", "internal/clients", "internal/soak", "internal/architecture"}
	// databases may be opened by the tests of any package.
	databases = []string{"sqlite", "postgres", "mysql"}
	// drivers are what each of these packages links, and no other package does unless it imports that one.
	drivers = map[string]string{
		"sqlite":   "github.com/ncruces/go-sqlite3",
		"postgres": "github.com/jackc/pgx/v5",
		"mysql":    "github.com/go-sql-driver/mysql",
		"tracing":  "go.opentelemetry.io/otel",
	}
	// plain packages use the standard library only.
	plain = []string{"internal/predicate", "internal/problem", "internal/caller", "policy", "auth"}
	// withoutDatabase never reach a database.
	withoutDatabase = []string{"internal/hub"}
)

// listed is what go list tells of a package.
type listed struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Export       string
}

// goList lists packages from the root of the module; environment adds to that of the tests.
func goList(t *testing.T, environment []string, arguments ...string) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json"}, arguments...)...)
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), environment...)
	output, err := command.Output()
	if failure := new(exec.ExitError); errors.As(err, &failure) {
		t.Fatalf("go list: %v\n%s", err, failure.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var packages []listed
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// relative is a package's path in the module: "capebase" for the root. ok tells whether it is the module's.
func relative(importPath string) (path string, ok bool) {
	if importPath == module {
		return "capebase", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// ranks maps a package, or a folder of packages that ends in "/…", to its rank.
type ranks map[string]int

// readRanks reads the table of docs/ARCHITECTURE.md, so that what it says is what is held.
func readRanks(t *testing.T) ranks {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := parseRanks(string(document))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func parseRanks(document string) (ranks, error) {
	row := regexp.MustCompile(`(?m)^\| *([0-9]+) *\|([^|]*)\|`)
	name := regexp.MustCompile("`([^`]+)`")
	table := ranks{}
	for _, columns := range row.FindAllStringSubmatch(document, -1) {
		rank, err := strconv.Atoi(columns[1])
		if err != nil {
			return nil, err
		}
		for _, found := range name.FindAllStringSubmatch(columns[2], -1) {
			if _, twice := table[found[1]]; twice {
				return nil, errors.New("docs/ARCHITECTURE.md ranks " + found[1] + " twice")
			}
			table[found[1]] = rank
		}
	}
	if len(table) == 0 {
		return nil, errors.New("docs/ARCHITECTURE.md has no table of ranks")
	}
	return table, nil
}

// of is the rank of a package, and the entry that gives it.
func (r ranks) of(path string) (rank int, entry string, ok bool) {
	if rank, ok := r[path]; ok {
		return rank, path, true
	}
	for entry, rank := range r {
		folder, isFolder := strings.CutSuffix(entry, "…")
		if isFolder && strings.HasPrefix(path, folder) {
			return rank, entry, true
		}
	}
	return 0, "", false
}

// violations lists what packages import against the rules.
func (r ranks) violations(packages []listed) []string {
	var found []string
	ranked := map[string]bool{}
	for _, p := range packages {
		path, ok := relative(p.ImportPath)
		if !ok || slices.Contains(beds, path) {
			continue
		}
		rank, entry, ok := r.of(path)
		if !ok {
			found = append(found, path+" has no rank in docs/ARCHITECTURE.md")
			continue
		}
		ranked[entry] = true
		for _, imported := range p.Imports {
			if other, ok := relative(imported); ok && !r.below(other, rank) {
				found = append(found, path+" imports "+other+", which has no lower rank")
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			other, ok := relative(imported)
			if !ok || other == path || slices.Contains(beds, other) || slices.Contains(databases, other) || r.below(other, rank) {
				continue
			}
			// Examples in the documentation of public packages are users' programs.
			if slices.Contains(public, path) && slices.Contains(public, other) && !slices.Contains(p.TestImports, imported) {
				continue
			}
			found = append(found, "the tests of "+path+" import "+other+", which has no lower rank")
		}
	}
	for entry := range r {
		if !ranked[entry] {
			found = append(found, "docs/ARCHITECTURE.md ranks "+entry+", which does not exist")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (r ranks) below(path string, rank int) bool {
	other, _, ok := r.of(path)
	return ok && other < rank
}

func TestPackagesImportLowerRanksOnly(t *testing.T) {
	t.Parallel()
	table := readRanks(t)
	// Files for one system only are listed for no other.
	for _, system := range []string{"linux", "darwin", "windows"} {
		packages := goList(t, []string{"GOOS=" + system, "CGO_ENABLED=0"}, "./...")
		for _, violation := range table.violations(packages) {
			t.Errorf("on %s: %s", system, violation)
		}
	}
}

func TestViolationsAreFound(t *testing.T) {
	t.Parallel()
	table, err := parseRanks("| rank | package |\n|---|---|\n| 0 | `low`, `lower` | x |\n| 1 | `policy` |\n| 7 | `capebase` |\n| 8 | `examples/…` | `no` |\n| 9 | `gone` |")
	if err != nil {
		t.Fatal(err)
	}
	if want := (ranks{"low": 0, "lower": 0, "policy": 1, "capebase": 7, "examples/…": 8, "gone": 9}); !maps.Equal(table, want) {
		t.Fatalf("read %v, want %v", table, want)
	}
	got := table.violations([]listed{
		{ImportPath: module, Imports: []string{"fmt", module + "/low"}, TestImports: []string{module + "/internal/dbtest", module + "/sqlite"}},
		{ImportPath: module + "/low", Imports: []string{module + "/lower"}, XTestImports: []string{module + "/low"}},
		{ImportPath: module + "/lower", Imports: []string{module + "/internal/dbtest"}, TestImports: []string{module}},
		{ImportPath: module + "/policy", TestImports: []string{module + "/low"}, XTestImports: []string{module, module + "/examples/todo"}},
		{ImportPath: module + "/examples/todo", Imports: []string{module}},
		{ImportPath: module + "/new", Imports: []string{module + "/low"}},
		{ImportPath: module + "/internal/dbtest", Imports: []string{module}},
	})
	want := []string{
		"docs/ARCHITECTURE.md ranks gone, which does not exist",
		"low imports lower, which has no lower rank",
		"lower imports internal/dbtest, which has no lower rank",
		"new has no rank in docs/ARCHITECTURE.md",
		"the tests of lower import capebase, which has no lower rank",
		"the tests of policy import examples/todo, which has no lower rank",
	}
	if !slices.Equal(got, want) {
		t.Errorf("violations:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestProgramsLinkOnlyWhatTheyImport(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, []string{"CGO_ENABLED=0"}, "./...") {
		path, _ := relative(p.ImportPath)
		for database, driver := range drivers {
			itself := module + "/" + database
			if path == database || slices.Contains(p.Deps, itself) || slices.Contains(beds, path) {
				continue
			}
			if dependsOn(p, driver) {
				t.Errorf("%s links %s without importing %s", path, driver, itself)
			}
		}
		if slices.Contains(withoutDatabase, path) && dependsOn(p, "database/sql") {
			t.Errorf("%s reaches database/sql", path)
		}
		if !slices.Contains(plain, path) {
			continue
		}
		for _, dependency := range p.Deps {
			if _, ours := relative(dependency); !ours && strings.Contains(strings.SplitN(dependency, "/", 2)[0], ".") {
				t.Errorf("%s is to use the standard library only, and reaches %s", path, dependency)
			}
		}
	}
}

// dependsOn tells whether a package reaches another or one below it.
func dependsOn(p listed, path string) bool {
	return slices.ContainsFunc(p.Deps, func(dependency string) bool {
		return dependency == path || strings.HasPrefix(dependency, path+"/")
	})
}
