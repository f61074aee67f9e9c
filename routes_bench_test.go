package capebase_test

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// BenchmarkRoutes measures the generated routes of an embedded database alone, without a network: bench/ has servers.
func BenchmarkRoutes(b *testing.B) {
	type Task struct {
		ID         int64     `json:"id"`
		UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
		Task       string    `json:"task" minLength:"1" maxLength:"200"`
		IsComplete bool      `json:"is_complete"`
		InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
	}
	const body = `{"task":"water the plants on the 4. floor"}`
	for _, route := range []struct {
		name, method, path, body string
		status                   int
		observed                 bool
	}{
		{name: "get", method: "GET", path: "/task/%d", status: 200},
		{name: "get-observed", method: "GET", path: "/task/%d", status: 200, observed: true},
		{name: "list", method: "GET", path: "/task?limit=20", status: 200},
		{name: "list-observed", method: "GET", path: "/task?limit=20", status: 200, observed: true},
		{name: "create", method: "POST", path: "/task", body: body, status: 201},
		{name: "update", method: "PATCH", path: "/task/%d", body: `{"task":"%d"}`, status: 200},
	} {
		b.Run(route.name, func(b *testing.B) {
			config := capebase.Config{Logger: slog.New(slog.DiscardHandler)}
			if route.observed {
				config = capebase.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			}
			cape, err := capebase.Open(sqlite.Temp(), config)
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := cape.Close(); err != nil {
					b.Error(err)
				}
			}()
			if route.observed {
				cape.Metrics()
			}
			cape.UseAuth(auth.Func(func(r *http.Request) (auth.Identity, error) {
				_, ok := auth.Bearer(r)
				return auth.Identity{ID: strings.Repeat("alice", min(1, len(r.Method)))}, map[bool]error{false: auth.ErrUnauthenticated}[ok]
			}))
			tasks := capebase.Publish[Task](cape)
			tasks.Allow(policy.All, policy.Owner(&tasks.Fields.UserID))
			if err := cape.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			const rows = 100
			w := &sink{header: http.Header{}}
			send := func(method, path, body string, status int) {
				r, err := http.NewRequest(method, path, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				r.RemoteAddr = "192.0.2.1:4711"
				r.Header.Set("Authorization", "Bearer alice")
				r.Header.Set("Content-Type", "application/json")
				clear(w.header)
				cape.ServeHTTP(w, r)
				if w.status != status {
					b.Fatalf("%s %s: want %d, got %d", method, path, status, w.status)
				}
			}
			for range rows {
				send("POST", "/task", body, 201)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				number := strconv.Itoa(1 + i%rows)
				send(route.method, strings.ReplaceAll(route.path, "%d", number), strings.ReplaceAll(route.body, "%d", strconv.Itoa(i)), route.status)
			}
		})
	}
}

// sink is a connection that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header                   { return s.header }
func (s *sink) Write(p []byte) (int, error)           { return len(p), nil }
func (s *sink) WriteHeader(status int)                { s.status = status }
func (s *sink) ReadFrom(src io.Reader) (int64, error) { return io.Copy(io.Discard, src) }
func (s *sink) Flush()                                {}
