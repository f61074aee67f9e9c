package load_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/capebase/capebase/bench/internal/load"
)

func dial(t *testing.T, address string) *load.Conn {
	t.Helper()
	conn, err := load.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func TestDoReadsWhatNetHTTPWrites(t *testing.T) {
	long := strings.Repeat("0123456789", 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			w.WriteHeader(201)
			_, _ = w.Write([]byte("short"))
		case "/chunked": // too long for net/http to give a length
			_, _ = w.Write([]byte(long))
			_, _ = w.Write([]byte("end"))
		default:
			w.WriteHeader(204)
		}
	}))
	t.Cleanup(server.Close)
	conn := dial(t, server.Listener.Addr().String())
	for range 3 { // on one connection: nothing may be left unread
		for _, want := range []struct {
			path   string
			status int
			body   string
		}{{"/short", 201, "short"}, {"/chunked", 200, long + "end"}, {"/none", 204, ""}} {
			got, err := conn.Do([]byte("GET " + want.path + " HTTP/1.1\r\nHost: x\r\n\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != want.status || string(got.Body) != want.body {
				t.Fatalf("%s: got %d with %d bytes", want.path, got.Status, len(got.Body))
			}
		}
	}
}

func TestDoRefuses(t *testing.T) {
	for name, answer := range map[string]string{
		"another protocol":      "SSH-2.0-OpenSSH\r\n",
		"no status":             "HTTP/1.1 OK\r\n\r\n",
		"a length of no number": "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		"no length":             "HTTP/1.1 200 OK\r\n\r\n",
		"a short body":          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"a bad chunk size":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a chunk that goes on":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
		"the connection's end":  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"an endless line":       strings.Repeat("x", 100_000),
		"nothing":               "",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 100))
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
			}()
			t.Cleanup(func() { _ = listener.Close() })
			if r, err := dial(t, listener.Addr().String()).Do([]byte("GET / HTTP/1.1\r\n\r\n")); err == nil {
				t.Fatalf("want an error, got %d %q", r.Status, r.Body)
			}
		})
	}
}

// asking asks for a path, and fails the answer that it is told to.
type asking struct {
	asked *atomic.Int64
	fail  int64
	last  string
}

var errWrong = errors.New("wrong")

func (w *asking) Next(b []byte) []byte {
	w.asked.Add(1)
	return append(b, "GET /work HTTP/1.1\r\nHost: x\r\n\r\n"...)
}

func (w *asking) Check(load.Response) error {
	if w.fail > 0 && w.asked.Load() >= w.fail {
		return errWrong
	}
	return nil
}

func (w *asking) Last(b []byte) []byte {
	if w.last == "" {
		return b
	}
	return append(b, "GET "+w.last+" HTTP/1.1\r\nHost: x\r\n\r\n"...)
}

func (w *asking) CheckLast(r load.Response) error {
	if r.Status != 200 {
		return errWrong
	}
	return nil
}

func works(fail int64, last string) (all []load.Work, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	return []load.Work{&asking{asked, fail, last}, &asking{asked, fail, ""}}, asked
}

func TestRun(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/work", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	conns := []*load.Conn{dial(t, address), dial(t, address)}

	all, asked := works(0, "/work")
	sample, err := load.Run(t.Context(), conns, all, 101)
	if err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 101 || sample.Requests != 101 || len(sample.Latencies) != 101 || sample.Rate() <= 0 {
		t.Errorf("asked %d times, got a sample of %d with %d latencies", asked.Load(), sample.Requests, len(sample.Latencies))
	}
	if err := load.Close(conns, all); err != nil {
		t.Error(err)
	}

	all, _ = works(0, "/nothing")
	if err := load.Close(conns, all); !errors.Is(err, errWrong) {
		t.Errorf("Close: want the failed check, got %v", err)
	}

	all, asked = works(10, "")
	if _, err := load.Run(t.Context(), conns, all, 1000); !errors.Is(err, errWrong) || asked.Load() > 12 {
		t.Errorf("want the failed check at the 10th request, got %v at the %dth", err, asked.Load())
	}

	ended, end := context.WithCancel(t.Context())
	end()
	all, _ = works(0, "")
	if _, err := load.Run(ended, conns, all, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("want the context's end, got %v", err)
	}
}
