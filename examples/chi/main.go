// Command chi is a program that was there before CapeBase: chi routes, goose migrations on PostgreSQL, sessions of
// alexedwards/scs. What CapeBase adds is in api.go: routes and live streams under /api, for the sessions that the
// program has.
//
//	ADDR          where to listen; default 127.0.0.1:8080
//	DATABASE_URL  postgres://…
//	INSECURE      1 sends the session cookie without TLS too, to try it with curl; default none
//
//	curl -c jar -d 'name=alice&password=correct-horse' localhost:8080/signup
//	curl -b jar -H 'Content-Type: application/json' -d '{"title":"buy milk"}' localhost:8080/api/task
//	curl -b jar -N 'localhost:8080/api/task/subscribe?snapshot=true'
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/crypto/bcrypt"
)

//go:embed migrations/*.sql
var migrations embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, settings{
		address: cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"), database: os.Getenv("DATABASE_URL"),
		insecure: os.Getenv("INSECURE") != "", cost: bcrypt.DefaultCost, logger: slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
}

type settings struct {
	address, database string
	insecure          bool
	cost              int // of bcrypt
	logger            *slog.Logger
}

// site is the program as it was.
type site struct {
	logger   *slog.Logger
	pool     *pgxpool.Pool
	sessions *scs.SessionManager
	cost     int
	nobody   []byte // what the password of an unknown name is compared with, so that it takes as long
}

func run(ctx context.Context, s settings) (err error) {
	pool, err := pgxpool.New(ctx, s.database)
	if err != nil {
		return errors.New("DATABASE_URL: want postgres://… of a server that can be reached")
	}
	defer pool.Close()
	if err := migrate(ctx, pool); err != nil {
		return err
	}
	sessions := scs.New()
	sessions.Store = pgxstore.NewWithCleanupInterval(pool, 0) // cleanUp does it
	sessions.Cookie.Secure = !s.insecure
	site := &site{logger: s.logger, pool: pool, sessions: sessions, cost: s.cost}
	if site.nobody, err = site.hash("nobody's password"); err != nil {
		return err
	}

	cape, err := site.openAPI(s.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cape.Close()) }()
	cape.Run(site.cleanUp)
	if err := cape.Start(ctx); err != nil {
		return err
	}

	router := chi.NewRouter()
	router.Use(middleware.Recoverer, http.NewCrossOriginProtection().Handler, sessions.LoadAndSave)
	router.Group(func(own chi.Router) {
		own.Use(middleware.RequestSize(1 << 16))
		own.Post("/signup", site.signUp)
		own.Post("/login", site.signIn)
		own.Post("/logout", site.signOut(cape))
		own.Post("/quick", site.quick)
		own.With(cape.Middleware).Get("/open", site.open(cape))
	})
	router.Handle("/api/*", cape)
	return serve(ctx, s, router, cape.EndStreams)
}

// migrate brings the tables up to date. CapeBase changes nothing about them but its triggers.
func migrate(ctx context.Context, pool *pgxpool.Pool) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	locker, err := lock.NewPostgresSessionLocker() // several processes may start at once
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// serve serves until ctx ends.
func serve(ctx context.Context, s settings, handler http.Handler, endStreams func()) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	server.RegisterOnShutdown(endStreams) // Shutdown waits for requests, and a stream is one
	s.logger.InfoContext(ctx, "serving", "url", "http://"+listener.Addr().String())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(limit)
}
