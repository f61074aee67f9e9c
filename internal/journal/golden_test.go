package journal

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestStatementsAreTheGoldenOnes shows a change of the DDL in review. Such a change needs another format.
func TestStatementsAreTheGoldenOnes(t *testing.T) {
	for _, engine := range journaled() {
		t.Run(engine, func(t *testing.T) {
			b := open(t, dbtest.New(t, engine), Options{History: []int{0}}, parse[Item](t), parse[Everything](t))
			b.migrate()
			statements, err := b.Statements(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(statements, ";\n") + ";\n"
			file := filepath.Join("testdata", engine+".sql")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines := strings.Split(hideEpoch(got), "\n"), strings.Split(hideEpoch(string(want)), "\n")
			for i := range min(len(gotLines), len(wantLines)) {
				if gotLines[i] != wantLines[i] {
					t.Fatalf("line %d is not that of %s; if that is right, run the test with -update:\n%s\nwas:\n%s", i+1, file, gotLines[i], wantLines[i])
				}
			}
			if len(gotLines) != len(wantLines) {
				t.Errorf("%d lines instead of the %d of %s; if that is right, run the test with -update", len(gotLines), len(wantLines), file)
			}
		})
	}
}

// hideEpoch takes the random part out.
func hideEpoch(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.Contains(line, metaEpoch) {
			lines[i] = metaEpoch
		}
	}
	return strings.Join(lines, "\n")
}
