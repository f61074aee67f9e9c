package apitest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
)

// exchange is a request and its answer, as tools/node/responses.mjs reads it.
type exchange struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	Status      int    `json:"status"`
	ContentType string `json:"contentType"`
	Body        string `json:"body"`
}

// recording collects the exchanges of all apps that serve one document.
type recording struct {
	mu    sync.Mutex
	lines []exchange
	doc   []byte
}

var recordings sync.Map

// recorder notes each exchange beside the document that promises its answers.
func recorder(t testing.TB, c *capebase.Cape) func(exchange) {
	t.Helper()
	w := httptest.NewRecorder()
	path := "/openapi.json"
	if servers := c.API().OpenAPI().Servers; len(servers) > 0 {
		path = servers[0].URL + path
	}
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	sum := sha256.Sum256(w.Body.Bytes())
	loaded, _ := recordings.LoadOrStore(hex.EncodeToString(sum[:8]), &recording{doc: w.Body.Bytes()})
	r := loaded.(*recording) //nolint:forcetypeassert // nothing else is stored
	return func(e exchange) {
		if !strings.HasPrefix(e.Path, strings.TrimSuffix(path, "openapi.json")) {
			return // no operation can be meant
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, e)
	}
}

// TestMain runs the suite and then holds every document and every answer of it against the parsers in tools/node.
func TestMain(m *testing.M) {
	// GORM never ends the goroutine that tends its cache of prepared statements.
	dbtest.Main(wrapped{m}, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

type wrapped struct{ *testing.M }

func (m wrapped) Run() int {
	if code := m.M.Run(); code != 0 {
		return code
	}
	if err := checkRecordings(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// checkRecordings writes each document and its exchanges to a file and has them validated.
func checkRecordings() error {
	dir, err := os.MkdirTemp("", "capebase-exchanges-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	var documents, pairs []string
	recordings.Range(func(name, value any) bool {
		r := value.(*recording) //nolint:forcetypeassert // nothing else is stored
		if len(r.lines) == 0 {
			return true
		}
		path := filepath.Join(dir, name.(string)) //nolint:forcetypeassert // as above
		documents = append(documents, path+".json")
		pairs = append(pairs, path+".json", path+".ndjson")
		err = r.write(path)
		return err == nil
	})
	if err != nil || len(documents) == 0 {
		return err
	}
	fmt.Println("documents to validate:", len(documents))
	if err := node("validate.mjs", documents...); err != nil {
		return err
	}
	for _, document := range documents[:min(len(documents), maxTypes)] {
		if err := node("types.mjs", document, document+".ts"); err != nil {
			return err
		}
	}
	var ignored []string
	for _, base := range []string{"", "/api/v1"} {
		for _, undocumented := range []string{"/custom", "/docs", "/openapi.json", "/openapi.yaml", "/healthz", "/readyz"} {
			ignored = append(ignored, "--ignore", base+undocumented)
		}
	}
	return node("responses.mjs", append(ignored, pairs...)...)
}

// maxTypes bounds how many documents are compiled to TypeScript, which takes seconds each.
const maxTypes = 2

// write puts the document and its exchanges into files.
func (r *recording) write(path string) error {
	if err := os.WriteFile(path+".json", r.doc, 0o600); err != nil {
		return err
	}
	var lines []byte
	for _, e := range r.lines {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	return os.WriteFile(path+".ndjson", lines, 0o600)
}

// node runs one of the checks of tools/node, which scripts/install installs.
func node(script string, args ...string) error {
	tool := filepath.Join("..", "..", "tools", "node", script)
	out, err := exec.Command("node", append([]string{tool}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return nil
}
