package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// The bearer token that examples/todo is given, and whose it is.
const (
	aliceToken = "alices-token"
	alice      = "alice"
)

// build compiles examples/todo as its users do.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "todo")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./examples/todo")
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return path
}

// program is examples/todo, which can be started again at the same address.
type program struct {
	t       *testing.T
	path    string
	target  dbtest.Target
	address string
	more    []string // of its environment
	log     *os.File
	process *process
}

func startProgram(t *testing.T, path string, target dbtest.Target) *program {
	t.Helper()
	p := &program{t: t, path: path, target: target, address: dbtest.FreeAddress(t), log: logFile(t, "todo.log")}
	p.start()
	return p
}

// start starts the program and waits until it is ready.
func (p *program) start() {
	p.t.Helper()
	command := exec.Command(p.path)
	command.Env = append(os.Environ(), "ADDR="+p.address, "DATABASE_URL="+p.target.URL, "TODO_TOKENS="+aliceToken+"="+alice)
	command.Env = append(command.Env, p.more...)
	command.Stdout, command.Stderr = p.log, p.log
	p.process = launch(p.t, command)
	err := p.process.eventually(p.t.Context(), func(ctx context.Context) error {
		_, err := request(ctx, http.MethodGet, "http://"+p.address+"/readyz", nil, nil)
		return err
	})
	if err != nil {
		p.t.Fatalf("%v\n%s", err, ending(p.t, p.log))
	}
}

// kill ends the program with SIGKILL.
func (p *program) kill() {
	p.t.Helper()
	if err := p.process.kill(); err != nil {
		p.t.Fatal(err)
	}
}

// stop asks the program to end, as service managers do.
func (p *program) stop() {
	p.t.Helper()
	if err := p.process.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.process.wait(); err != nil {
		p.t.Fatal(err)
	}
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// request sends a request as alice and reads the answer's JSON into answer, unless that is nil.
func request(ctx context.Context, method, url string, body, answer any) (http.Header, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return nil, err
	}
	r.Close = true // so that a connection's end is no other request's error
	r.Header.Set("Authorization", "Bearer "+aliceToken)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it is read to its end
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, &statusError{response.StatusCode, string(text)}
	}
	if answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return response.Header, err
}
