package capebase

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/audit"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/guard"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/metrics"
	"github.com/capebase/capebase/internal/migrate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/stream"
)

// Cape is one backend: an http.Handler over one database. Its methods may be called from several goroutines, but what
// declares (Publish, UseAuth, Handle, OnStart, Run) comes before Start.
type Cape struct {
	config  Config
	backend *engine.Backend
	db      *sqldriver.DB
	gorm    *gorm.DB
	api     *rest.API
	metrics *metrics.Metrics
	sessions
	auditing

	mu        sync.Mutex // guards what follows, until started
	resources []*declaration
	handlers  []*handler
	consumers []*consumer
	onStart   []func(context.Context) error
	run       []func(context.Context)
	mistakes  []error
	published []*published // once a Start has found them good
	frozen    bool

	started  atomic.Bool
	startMu  sync.Mutex // one Start at a time
	mounted  bool
	mountErr error // routes cannot be taken back: it stays

	stamp   *journal.Stamp
	live    atomic.Pointer[history] // nil until install
	streams *stream.Server
	failure atomic.Pointer[error]     // why no changes are delivered now
	said    [3]atomic.Pointer[string] // what the log knows of the states of ready's parts

	closing    context.Context // until Close is called: ends a Start that is on its way
	stopStart  context.CancelFunc
	life       context.Context // from Open to Close
	end        context.CancelFunc
	serving    context.Context // until Close begins
	endServing context.CancelFunc
	tasks      sync.WaitGroup // what Run began, and the tailer
	handling   sync.WaitGroup // OnChange and Consume
	closed     sync.Once
}

// Open connects to the database; nothing is created until Start.
func Open(db Database, cfg Config) (*Cape, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
	}
	if db == nil {
		return nil, errors.New("capebase: Open needs a database, such as sqlite.File(\"app.db\")")
	}
	c := &Cape{config: cfg}
	c.life, c.end = context.WithCancel(context.Background())
	c.serving, c.endServing = context.WithCancel(c.life)
	c.closing, c.stopStart = context.WithCancel(c.life)
	var err error
	if c.backend, err = db.Connect(c.life); err != nil {
		c.end()
		return nil, fmt.Errorf("capebase: %w", err)
	}
	if err := c.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("capebase: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cape) connect() (err error) {
	cfg := c.config
	if c.stamp, err = journal.NewStamp(c.backend.Dialect.Name()); err != nil {
		return err
	}
	if cfg.Tracer != nil {
		c.stamp.Trace = cfg.Tracer.Carry
	}
	c.db, err = sqldriver.Open(c.backend, sqldriver.Options{
		Logger: cfg.Logger, WriteWait: cfg.Limits.WriteWait,
		Frame: c.stamp.Frame, Variables: c.stamp.Variables, Begin: c.stamp.Begin, Commit: c.stamp.Commit, After: c.wake,
		Admit: c.admit, Guard: c.limit, Report: c.report,
		Observe: c.observeStatement,
		Waited:  func(d time.Duration) { c.metrics.Waited(d) },
	})
	if err != nil {
		return err
	}
	c.metrics = c.newMetrics()
	if err := c.db.Ping(c.life); err != nil {
		return err
	}
	if c.events, err = audit.Model(c.backend.Dialect); err != nil {
		return err
	}
	gormConfig := cfg.Gorm
	if c.gorm, err = gorm.Open(c.backend.Gorm(c.db.SQL()), &gormConfig); err != nil {
		return err
	}
	if err := c.gorm.Use(guard.Plugin(c.guard.Load)); err != nil {
		return err
	}
	c.api, err = rest.New(rest.Settings{
		BasePath: cfg.BasePath, Origins: cfg.Origins, Logger: cfg.Logger, TrustedProxies: cfg.TrustedProxies,
		Body: cfg.Limits.Body, Page: cfg.Limits.Page, MaxPage: cfg.Limits.MaxPage,
		NoRequestLog: cfg.NoRequestLog, Tracer: cfg.Tracer, Observers: c.observers(),
	})
	if err != nil {
		return err
	}
	c.api.Ready, c.api.Refused = c.ready, c.refused
	c.opened.Store(true)
	return nil
}

// declare runs a declaration under the lock; after Start it panics, since nobody would see it.
func (c *Cape) declare(what string, fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		panic("capebase: " + what + " after Start")
	}
	fn()
}

// declareFunc is declare for what needs a function.
func (c *Cape) declareFunc(what, at string, given bool, fn func()) {
	c.declare(what, func() {
		if !given {
			c.mistakes = append(c.mistakes, fmt.Errorf("%s(nil) (%s): give a function", what, at))
			return
		}
		fn()
	})
}

// UseAuth adds authenticators, asked in order; with none every caller is anonymous.
func (c *Cape) UseAuth(a ...auth.Authenticator) {
	at := position()
	c.declare("UseAuth", func() {
		for _, authenticator := range a {
			if authenticator == nil {
				c.mistakes = append(c.mistakes, fmt.Errorf("UseAuth(nil) (%s): give an auth.Authenticator", at))
				continue
			}
			c.api.Authenticators = append(c.api.Authenticators, authenticator)
		}
	})
}

// API takes typed huma routes beside the generated ones. Their handlers find the caller with auth.From.
func (c *Cape) API() huma.API { return c.api.Huma }

// Handle adds a plain route beside the generated ones; pattern is http.ServeMux's, without the base path's prefix being
// added. The identity is in the context.
func (c *Cape) Handle(pattern string, h http.Handler) {
	at := position()
	c.declare("Handle", func() {
		if h == nil {
			c.mistakes = append(c.mistakes, fmt.Errorf("Handle(%q, nil) (%s): give a handler", pattern, at))
			return
		}
		defer func() {
			if v := recover(); v != nil { // how ServeMux reports a bad pattern
				c.mistakes = append(c.mistakes, fmt.Errorf("Handle(%q) (%s): %v", pattern, at, v))
			}
		}()
		c.api.Handle(pattern, h)
	})
}

// OnStart runs fn at the end of Start, before the first request, in the order of the calls; an error fails Start.
// Its context lives until Close.
func (c *Cape) OnStart(fn func(context.Context) error) {
	c.declareFunc("OnStart", position(), fn != nil, func() { c.onStart = append(c.onStart, fn) })
}

// Run runs fn in a goroutine from Start on; Close cancels its context and waits for it.
func (c *Cape) Run(fn func(context.Context)) {
	c.declareFunc("Run", position(), fn != nil, func() { c.run = append(c.run, fn) })
}

// ServeHTTP serves every route; before Start it answers 503 with a problem that says so. It logs a line a request, at
// Error where the status is 500 or more, else at Info, and at Debug for probes; a stream's comes when it ends.
func (c *Cape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case c.started.Load():
		c.api.ServeHTTP(w, r)
	case c.closing.Err() != nil:
		c.api.Refuse(w, r, problem.New(problem.Unavailable, "the backend is shutting down"))
	default:
		c.api.Refuse(w, r, problem.New(problem.NotStarted, "the backend has not started; call Start"))
	}
}

// Middleware puts the caller's identity into the context of the user's own handlers. It asks the authenticators, and
// answers 401 or 503 when they refuse or fail.
func (c *Cape) Middleware(next http.Handler) http.Handler { return c.api.Identify(next) }

// Plan returns the SQL that Start would run, for a migration tool. It declares nothing and changes nothing.
func (c *Cape) Plan(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	published, err := c.publish()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	plan, err := migrate.Make(ctx, c.db, c.internalGorm(ctx), models(published), migrate.All)
	if err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
	}
	statements := make([]string, len(plan.Steps))
	for i, step := range plan.Steps {
		statements[i] = step.SQL
	}
	j, err := journal.Open(c.db, c.journaled(published), journal.Options{Logger: c.config.Logger, History: withHistory(published)})
	if err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
	}
	triggers, err := j.Statements(ctx)
	if err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
	}
	return append(statements, triggers...), nil
}

// Uninstall drops CapeBase's triggers and tables, and leaves the models' alone. Programs that run on the database deliver
// no changes then, until one is started anew.
func (c *Cape) Uninstall(ctx context.Context) error {
	if err := errors.Join(journal.Uninstall(ctx, c.db), migrate.Uninstall(ctx, c.db)); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	return nil
}

// Close ends streams, drains handlers, stops what Run began and closes what Open opened; it may be called twice. A Start
// that is on its way fails first. A function of OnStart must return an error instead of calling Close.
func (c *Cape) Close() error {
	var err error
	c.closed.Do(func() {
		c.stopStart()
		c.startMu.Lock()
		defer c.startMu.Unlock()
		c.EndStreams()
		c.started.Store(false)
		err = c.drain()
		if c.db != nil {
			err = errors.Join(err, c.db.Close())
		}
	})
	return err
}

// typeName is a model's name without its package and type parameters.
func typeName(t reflect.Type) string {
	name := t.Name()
	for i, r := range name {
		if r == '[' {
			return name[:i]
		}
	}
	return name
}
