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
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

// How a test tells its backend what to serve, and where.
const (
	engineVariable  = "CAPE_SOAK_BACKEND"
	urlVariable     = "CAPE_SOAK_URL"
	addressVariable = "CAPE_SOAK_ADDRESS"
	versionVariable = "CAPE_SOAK_VERSION" // of the identity that changes
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

// Part goes with its task, and has a slot for itself alone.
type Part struct {
	ID     int64   `json:"id"`
	TaskID int64   `json:"task_id"`
	Task   *Task   `json:"-" gorm:"constraint:OnDelete:CASCADE"`
	MemoID *string `json:"memo_id" cape:"hidden"`
	Memo   *Memo   `json:"-" gorm:"constraint:OnDelete:SET NULL"`
	Slot   int64   `json:"slot" gorm:"uniqueIndex"`
	V      int64   `json:"v"`
	Tx     string  `json:"tx"`
}

// The resources, by the index that the journal of a test's own gives them.
const (
	tasks = iota
	memos
	readings
	parts
	tables
)

func resourceName(table int) string { return [...]string{"task", "memo", "reading", "part"}[table] }

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

	part := capebase.Publish[Part](c)
	part.Allow(policy.Read, policy.SignedIn())
	part.Allow(policy.All, policy.Role("admin"))
	return task
}

// identity is a caller, with what the oracle must know of it.
type identity struct {
	token, id string // both "" for an anonymous caller
	orgs      []string
	admin     bool
	lead      bool

	versions []*identity // of one that changes; the others are what they are
}

const users = 8

const moving = "mover"

// identities are the callers: users, a lead, an admin, nobody, and one that changes.
func identities() []identity {
	all := []identity{
		{}, {token: "admin", id: "root", admin: true}, {token: "lead", id: "u0", lead: true},
		{token: moving, id: moving, versions: []*identity{
			{token: moving, id: moving, orgs: []string{"org0"}},
			{token: moving, id: moving, orgs: []string{"org1", "org2"}, lead: true},
		}},
	}
	for i := range users {
		id := fmt.Sprintf("u%d", i)
		all = append(all, identity{token: id, id: id, orgs: []string{fmt.Sprintf("org%d", i%4), fmt.Sprintf("org%d", i%3)}})
	}
	return all
}

func credentials() auth.Tokens {
	tokens := auth.Tokens{}
	for _, who := range identities() {
		if who.token != "" && who.versions == nil {
			tokens[who.token] = who.credential()
		}
	}
	return tokens
}

func (who *identity) credential() auth.Identity {
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
	return id
}

// mover authenticates who changes.
type mover struct {
	cape    *capebase.Cape
	version atomic.Int64
}

// Authenticate implements auth.Authenticator.
func (m *mover) Authenticate(r *http.Request) (auth.Identity, error) {
	if token, ok := auth.Bearer(r); !ok || token != moving {
		return auth.Identity{}, nil
	}
	for _, who := range identities() {
		if who.versions != nil {
			return who.versions[m.version.Load()].credential(), nil
		}
	}
	return auth.Identity{}, auth.ErrUnauthenticated
}

// ServeHTTP takes the version from now on: POST /identity?version=1.
func (m *mover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.ParseInt(r.FormValue("version"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.version.Store(version)
	m.cape.Recheck(func(id auth.Identity) bool { return id.ID == moving })
}

// consumed is a line by which a backend says what its consumer was handed: when, the change's id and event, the row's
// key and counter.
const consumed = "consumed %d %s %s %d %d"

// serve is the backend's main function. It ends when it is told to, and when the test that started it is gone.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	cape, err := capebase.Open(engines.Of(os.Getenv(urlVariable)), capebase.Config{
		Limits: capebase.Limits{StreamsEach: 20_000},
	})
	if err != nil {
		return err
	}
	m := &mover{cape: cape}
	version, err := strconv.ParseInt(os.Getenv(versionVariable), 10, 64)
	if err != nil {
		return err
	}
	m.version.Store(version)
	cape.UseAuth(m, credentials())
	cape.Handle("POST /identity", m)
	publish(cape).Consume("audit", func(_ context.Context, c capebase.Change[Task]) error {
		_, err := fmt.Printf(consumed+"\n", time.Now().UnixNano(), c.ID, c.Event, c.Row.ID, c.Row.V)
		return err
	})
	cape.Handle("GET /usage", http.HandlerFunc(reportUsage))
	cape.Handle("GET /goroutines", http.HandlerFunc(reportGoroutines))
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

// reportGoroutines lists what runs, for people.
func reportGoroutines(w http.ResponseWriter, _ *http.Request) {
	_ = pprof.Lookup("goroutine").WriteTo(w, 1) // who reads it sees that it is cut off
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
