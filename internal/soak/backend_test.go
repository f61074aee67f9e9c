package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

// How a test tells its backend what to serve, and where.
const (
	engineVariable  = "CAPE_SOAK_BACKEND"
	urlVariable     = "CAPE_SOAK_URL"
	addressVariable = "CAPE_SOAK_ADDRESS"
)

// The tables. In each, V counts the writes of a row and Tx is the transaction that wrote it last.

// Task belongs to somebody.
type Task struct {
	ID      int64  `json:"id"`
	OwnerID string `json:"owner_id" gorm:"index" cape:"auth.id"`
	Level   int64  `json:"level"`
	V       int64  `json:"v"`
	Tx      string `json:"tx"`
	Note    string `json:"note" cape:"hidden"`
}

// Memo belongs to an organisation, and is deleted softly.
type Memo struct {
	ID        string         `json:"id" gorm:"primaryKey"`
	OrgID     string         `json:"org_id" gorm:"index"`
	Public    bool           `json:"public"`
	V         int64          `json:"v"`
	Tx        string         `json:"tx"`
	DeletedAt gorm.DeletedAt `json:"deleted_at"`
}

// Reading is visible by a column that nobody sees.
type Reading struct {
	ID    int64   `json:"id" gorm:"primaryKey;autoIncrement:false"`
	Score float64 `json:"score"`
	V     int64   `json:"v"`
	Tx    string  `json:"tx"`
	Label string  `json:"label" cape:"hidden"`
}

// The resources, by the index that the journal of a test's own gives them.
const (
	tasks = iota
	memos
	readings
	tables
)

func resourceName(table int) string { return [...]string{"task", "memo", "reading"}[table] }

const (
	openLabel   = "open"
	secretLabel = "secret"
	leadLevel   = 5
)

func publish(c *capebase.Cape) *capebase.Resource[Task] {
	task := capebase.Publish[Task](c)
	task.Allow(policy.All, policy.Owner(&task.Fields.OwnerID))
	task.Allow(policy.All, policy.Role("admin"))
	task.Allow(policy.Read, policy.Role("lead"), policy.Field(&task.Fields.Level).Ge(leadLevel))

	memo := capebase.Publish[Memo](c)
	memo.Allow(policy.Read, policy.Claim(&memo.Fields.OrgID, "org"))
	memo.Allow(policy.Read, policy.Field(&memo.Fields.Public).Eq(true))
	memo.Allow(policy.All, policy.Role("admin"))

	reading := capebase.Publish[Reading](c)
	reading.Allow(policy.Read, policy.Field(&reading.Fields.Label).Eq(openLabel))
	reading.Allow(policy.Read, policy.SignedIn(), policy.Field(&reading.Fields.Label).Ne(secretLabel))
	reading.Allow(policy.All, policy.Role("admin"))
	return task
}

// identity is a caller, with what the oracle must know of it.
type identity struct {
	token, id string // both "" for an anonymous caller
	orgs      []string
	admin     bool
	lead      bool
}

const users = 8

// identities are the callers: users, a lead, an admin and nobody.
func identities() []identity {
	all := []identity{{}, {token: "admin", id: "root", admin: true}, {token: "lead", id: "u0", lead: true}}
	for i := range users {
		id := fmt.Sprintf("u%d", i)
		all = append(all, identity{token: id, id: id, orgs: []string{fmt.Sprintf("org%d", i%4), fmt.Sprintf("org%d", i%3)}})
	}
	return all
}

func credentials() auth.Tokens {
	tokens := auth.Tokens{}
	for _, who := range identities() {
		if who.token == "" {
			continue
		}
		id := auth.Identity{ID: who.id, Claims: map[string]any{}}
		if who.admin {
			id.Roles = []string{"admin"}
		}
		if who.lead {
			id.Roles = []string{"lead", "member"}
		}
		orgs := make([]any, len(who.orgs))
		for i, org := range who.orgs {
			orgs[i] = org
		}
		id.Claims["org"] = orgs
		tokens[who.token] = id
	}
	return tokens
}

// database opens a target by the engine's public constructor.
func database(engine, url string) capebase.Database {
	switch engine {
	case dbtest.SQLite:
		return sqlite.File(strings.TrimPrefix(url, "sqlite:"))
	case dbtest.Postgres:
		return postgres.URL(url)
	default:
		return mysql.URL(url)
	}
}

// serve is the backend's main function. It ends when it is told to, and when the test that started it is gone.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	cape, err := capebase.Open(database(os.Getenv(engineVariable), os.Getenv(urlVariable)), capebase.Config{
		Limits: capebase.Limits{StreamsEach: 20_000},
	})
	if err != nil {
		return err
	}
	cape.UseAuth(credentials())
	publish(cape)
	cape.Handle("GET /usage", http.HandlerFunc(reportUsage))
	if err := cape.Start(ctx); err != nil {
		return errors.Join(err, cape.Close())
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", os.Getenv(addressVariable))
	if err != nil {
		return errors.Join(err, cape.Close())
	}
	server := &http.Server{Handler: cape, ReadHeaderTimeout: time.Minute}
	server.RegisterOnShutdown(cape.EndStreams)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return errors.Join(err, cape.Close())
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(limit), cape.Close())
}

// usage is what a backend holds after a collection.
type usage struct {
	Heap       uint64 `json:"heap"` // bytes
	Goroutines int    `json:"goroutines"`
	Files      int    `json:"files"` // open descriptors; 0 where the system does not tell
}

func reportUsage(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	runtime.GC() // what the first one finalised, and sync.Pool's second generation
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	u := usage{Heap: memory.HeapAlloc, Goroutines: runtime.NumGoroutine()}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.Files = len(files)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(u) // the test sees that it is missing
}
