package dbtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func variables(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestEnvironmentNamesTheEngines(t *testing.T) {
	t.Parallel()
	all := []string{SQLite, Postgres, MariaDB}
	tests := []struct {
		name      string
		variables map[string]string
		want      []string
		problem   string
	}{
		{name: "nothing set", want: all},
		{name: "narrowed", variables: map[string]string{enginesVariable: " mariadb ,,sqlite"}, want: []string{SQLite, MariaDB}},
		{name: "CI is not narrowed", variables: map[string]string{enginesVariable: "sqlite", "CI": "true"}, want: all},
		{name: "unknown engine", variables: map[string]string{enginesVariable: "oracle"}, problem: `names "oracle"`},
		{name: "no MySQL server", variables: map[string]string{enginesVariable: "mysql"}, problem: databasesVariable},
		{name: "not a URL", variables: map[string]string{databasesVariable: "postgres://a:secret@%zz"}, problem: "not a URL"},
		{name: "other scheme", variables: map[string]string{databasesVariable: "oracle://a:secret@b/"}, problem: "want postgres:// or mysql://"},
		{name: "no host", variables: map[string]string{databasesVariable: "mysql:///a"}, problem: "want a host"},
		{
			name:      "unreachable server",
			variables: map[string]string{databasesVariable: "mysql://a:secret@127.0.0.1:1/", enginesVariable: "sqlite"},
			problem:   "127.0.0.1:1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env, err := readEnvironment(t.Context(), variables(test.variables))
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("error %v, want one with %q and without the password", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, env.engines); diff != "" {
				t.Errorf("engines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListedServerTakesThePlaceOfThePrivateOne(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{Postgres, MariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			running := adminOf(t, shared, engine).url.String()
			bed := newBed(variables(map[string]string{databasesVariable: running}))
			if listed := adminOf(t, bed, engine).url.String(); listed != running {
				t.Errorf("%s is at %s, want the listed %s", engine, listed, running)
			}
			if hosts, err := bed.hosts(); err != nil || len(hosts) != 3 {
				t.Errorf("%d hosts, %v: want the listed one, a private one and SQLite", len(hosts), err)
			}
		})
	}
}

func adminOf(t *testing.T, bed *bed, engine string) adminURL {
	t.Helper()
	host, err := bed.host(engine)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := host.admin()
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

func TestServerProgramsAreFound(t *testing.T) {
	t.Parallel()
	says := regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)
	root := t.TempDir()
	for directory, script := range map[string]string{
		"9":    "echo 'postgres (PostgreSQL) 9.6.24'",
		"16":   "echo 'postgres (PostgreSQL) 16.4 (Debian 16.4-1)'",
		"19":   "echo 'postgres (PostgreSQL) 19beta1'",
		"odd":  "echo 'something else 20.1'",
		"fail": "exit 1",
	} {
		if err := os.Mkdir(filepath.Join(root, directory), 0o700); err != nil {
			t.Fatal(err)
		}
		script = "#!/bin/sh\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(root, directory, "cape-test-server"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		directories string
		want        string
	}{
		{"[19]*", "19"}, // as numbers: 9 < 16 < 19
		{"[1fo]6*", "16"},
		{"[9fo]*", "9"},
	}
	for _, test := range tests {
		found, err := newest(t.Context(), []string{"cape-test-server"}, []string{filepath.Join(root, test.directories)}, says)
		if want := filepath.Join(root, test.want, "cape-test-server"); err != nil || found.path != want {
			t.Errorf("in %s: found %v, %v; want %s", test.directories, found, err, want)
		}
	}
	for _, none := range []string{"odd", "fail", "absent"} {
		found, err := newest(t.Context(), []string{"cape-test-server"}, []string{filepath.Join(root, none)}, says)
		if err == nil {
			t.Errorf("in %s: found %v", none, found)
		}
	}
}
