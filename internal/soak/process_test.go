package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// backend is the program under test, which can be killed and started again at the same address.
type backend struct {
	t       testing.TB
	target  dbtest.Target
	address string
	client  *http.Client

	consumed func(launch int, line string) // gets what the backend's consumers are handed
	version  atomic.Int64                  // of the identity that changes

	mu       sync.Mutex
	command  *exec.Cmd
	launches int
	stdin    io.Closer
	ended    chan struct{}
	log      tail
}

// start starts a backend and gives it up when the test ends.
func start(t testing.TB, target dbtest.Target) *backend {
	t.Helper()
	return startNode(t, target, func(int, string) {})
}

// startNode starts one of several backends.
func startNode(t testing.TB, target dbtest.Target, consumed func(launch int, line string)) *backend {
	t.Helper()
	b := &backend{
		t: t, target: target, address: dbtest.FreeAddress(t), consumed: consumed,
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}},
	}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the backend's log ends with:\n%s", b.log.String())
		}
	})
	if err := b.launch(); err != nil {
		t.Fatal(err)
	}
	return b
}

// launch starts the process and waits until it serves.
func (b *backend) launch() error {
	command := exec.Command(os.Args[0], "-test.run=^$")
	command.Env = append(os.Environ(), engineVariable+"="+b.target.Engine, urlVariable+"="+b.target.URL, addressVariable+"="+b.address,
		versionVariable+"="+strconv.FormatInt(b.version.Load(), 10))
	launch := b.launches
	b.launches++
	command.Stdout, command.Stderr = &lines{to: func(line string) { b.consumed(launch, line) }}, &b.log
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // its state tells the same
		close(ended)
	}()
	b.mu.Lock()
	b.command, b.stdin, b.ended = command, stdin, ended
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		response, err := b.do(ctx, http.MethodGet, "/readyz", "", nil)
		if err == nil && response.status == http.StatusOK {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the backend ended: %v\n%s", command.ProcessState, b.log.String())
		case <-ctx.Done():
			return fmt.Errorf("the backend is not ready: %w\n%s", ctx.Err(), b.log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the process with SIGKILL.
func (b *backend) kill() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.command.Process.Kill(); err != nil {
		return err
	}
	<-b.ended
	return nil
}

// stop asks the process to end; one that does not, or that fails, is an error.
func (b *backend) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.command == nil {
		return nil
	}
	defer b.stdin.Close() //nolint:errcheck // the process is gone
	if err := b.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-b.ended:
	case <-time.After(time.Minute):
		err := b.command.Process.Kill()
		<-b.ended
		return errors.Join(errors.New("the backend did not end when asked to"), err)
	}
	if state := b.command.ProcessState; !state.Success() {
		return fmt.Errorf("the backend ended with %v", state)
	}
	return nil
}

// goroutines asks the backend what runs.
func (b *backend) goroutines() string {
	b.t.Helper()
	answer, err := b.do(b.t.Context(), http.MethodGet, "/goroutines", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(answer.body)
}

// lines hands on what is written to it line by line; half a line is what a kill leaves.
type lines struct {
	to   func(line string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole {
			return len(p), nil
		}
		l.to(string(line))
		l.rest = rest
	}
}

// response is an answer, read.
type response struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request of the token's bearer; body is sent as JSON unless nil.
func (b *backend) do(ctx context.Context, method, path, token string, body any, headers ...string) (*response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+b.address+path, content)
	if err != nil {
		return nil, err
	}
	authorize(r.Header, token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read
	text, err := io.ReadAll(answer.Body)
	return &response{answer.StatusCode, answer.Header, text}, err
}

func authorize(h http.Header, token string) {
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
}

// usage asks the backend what it holds.
func (b *backend) usage() usage {
	b.t.Helper()
	answer, err := b.do(b.t.Context(), http.MethodGet, "/usage", "", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var u usage
	if err := json.Unmarshal(answer.body, &u); err != nil {
		b.t.Fatalf("%v\n%s", err, answer.body)
	}
	return u
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 16 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if surplus := len(l.text) - tailSize; surplus > tailSize {
		l.text = append([]byte(nil), l.text[surplus:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-tailSize):])
}
