package capebase

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/observe"
)

// Database is what sqlite.File, postgres.URL or mysql.URL return.
type Database = engine.Engine

// Config configures Open; the zero value is ready for use.
type Config struct {
	BasePath       string         // prefix of all routes, such as "/api/v1"; default none
	Origins        []string       // other origins for CORS, CSRF and WebSocket, such as "https://app.example.com"; default same origin only
	Migrate        Migrate        // default MigrateAll
	Retention      time.Duration  // of the journal and the audit trail; default 30 days; negative: forever
	Logger         *slog.Logger   // default slog.Default(); its level bounds what is logged: a request is a line at Info
	NoRequestLog   bool           // no line a request, where the program's own router writes one; errors are logged still
	Gorm           gorm.Config    // naming strategy, plugins; default gorm's
	Limits         Limits         // zero fields take the defaults
	TrustedProxies []netip.Prefix // whose X-Forwarded-For and Forwarded are believed; default none
	NoConsumers    bool           // this process runs no durable consumers
	SlowQuery      time.Duration  // statements that take longer are logged, without arguments; default 200 ms; negative: none
	Tracer         Tracer         // makes the spans of traces: tracing.New(provider); default none
}

// Tracer is what package tracing returns.
type Tracer = observe.Tracer

// Migrate says what Start may change in the database.
type Migrate int

// The choices.
const (
	MigrateAll  Migrate = iota // add missing tables, columns and indexes of models, and CapeBase's own
	MigrateOwn                 // only CapeBase's own tables; models' tables must fit
	MigrateNone                // nothing; Start fails with the SQL that is missing
)

// Limits bounds what a client can ask.
type Limits struct {
	Body        int64         // bytes of a request's body; default 1 MiB
	Page        int           // rows of a list with no limit=; default 100
	MaxPage     int           // largest limit=, and most objects of a bulk create; default 1,000
	Streams     int           // open streams in all; default 50,000
	StreamsEach int           // per identity, or per address of anonymous callers; default 100
	WriteWait   time.Duration // for SQLite's one writer, and for a connection where all are in use or a new one is made; default 5 s
	Shutdown    time.Duration // for Close and ListenAndServe; default 10 s
}

// The defaults of Limits and of SlowQuery.
const (
	defaultBody        = 1 << 20
	defaultPage        = 100
	defaultMaxPage     = 1000
	defaultStreams     = 50_000
	defaultStreamsEach = 100
	defaultWriteWait   = 5 * time.Second
	defaultShutdown    = 10 * time.Second
	defaultSlowQuery   = 200 * time.Millisecond
)

// withDefaults fills what is zero.
func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Gorm.Logger == nil {
		cfg.Gorm.Logger = logger.NewSlogLogger(cfg.Logger, logger.Config{
			LogLevel:                  logger.Warn,
			IgnoreRecordNotFoundError: true,
			ParameterizedQueries:      true, // values stay out of the log
		})
	}
	cfg.SlowQuery = orDefault(cfg.SlowQuery, defaultSlowQuery)
	l := &cfg.Limits
	l.Body = orDefault(l.Body, defaultBody)
	l.Page = orDefault(l.Page, defaultPage)
	l.MaxPage = orDefault(l.MaxPage, defaultMaxPage)
	l.Streams = orDefault(l.Streams, defaultStreams)
	l.StreamsEach = orDefault(l.StreamsEach, defaultStreamsEach)
	l.WriteWait = orDefault(l.WriteWait, defaultWriteWait)
	l.Shutdown = orDefault(l.Shutdown, defaultShutdown)
	l.Page = min(l.Page, l.MaxPage)
	return cfg
}

func orDefault[V int | int64 | time.Duration](v, fallback V) V {
	if v == 0 {
		return fallback
	}
	return v
}

// validate names every setting that cannot be meant.
func (cfg Config) validate() error {
	var errs []error
	if p := cfg.BasePath; p != "" && (!strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "{} ?#%")) {
		errs = append(errs, fmt.Errorf(`Config.BasePath %q: expected a path such as "/api/v1", without a slash at its end`, p))
	}
	for _, origin := range cfg.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			errs = append(errs, fmt.Errorf(`Config.Origins: %q: expected an origin such as "https://app.example.com"`, origin))
		}
	}
	if cfg.Migrate < MigrateAll || cfg.Migrate > MigrateNone {
		errs = append(errs, fmt.Errorf("Config.Migrate %d: expected MigrateAll, MigrateOwn or MigrateNone", cfg.Migrate))
	}
	l := cfg.Limits
	for name, v := range map[string]int64{"Body": l.Body, "Page": int64(l.Page), "MaxPage": int64(l.MaxPage),
		"Streams": int64(l.Streams), "StreamsEach": int64(l.StreamsEach),
		"WriteWait": int64(l.WriteWait), "Shutdown": int64(l.Shutdown)} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("Config.Limits.%s is negative", name))
		}
	}
	if cfg.Gorm.ConnPool != nil || cfg.Gorm.Dialector != nil {
		errs = append(errs, errors.New("Config.Gorm: ConnPool and Dialector are CapeBase's to set"))
	}
	return errors.Join(errs...)
}
