package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
)

// Task is the table that migrations/00002_tasks.sql makes.
type Task struct {
	ID        int64     `json:"id"`
	Owner     int64     `json:"owner" cape:"auth.id"`
	Title     string    `json:"title" minLength:"1" maxLength:"200"`
	Done      bool      `json:"done" gorm:"default:false"`
	CreatedAt time.Time `json:"created_at" cape:"readonly"`
}

// openAPI publishes the tasks. Goose makes the tables, so CapeBase adds its own only (MigrateOwn), and says at Start what
// does not fit.
func (s *site) openAPI(database string) (*capebase.Cape, error) {
	cape, err := capebase.Open(postgres.URL(database), capebase.Config{
		BasePath: "/api", Migrate: capebase.MigrateOwn, Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	cape.UseAuth(auth.Func(s.identify))
	tasks := capebase.Publish[Task](cape)
	tasks.Allow(policy.All, policy.Owner(&tasks.Fields.Owner))
	tasks.Allow(policy.Read, policy.Role("admin"))
	return cape, nil
}

// loadWait bounds how long a session is looked for.
const loadWait = 5 * time.Second

// identify knows the callers by the program's own sessions. It is asked at the beginning of each request, and again
// for open streams: at Recheck, and each minute. The session in the stream's context (LoadAndSave put it there) is as old as
// the stream, and scs keeps to it, so the session is loaded by the cookie into a context that has none.
func (s *site) identify(r *http.Request) (auth.Identity, error) {
	cookie, err := r.Cookie(s.sessions.Cookie.Name)
	if err != nil || cookie.Value == "" {
		return auth.Identity{}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadWait)
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)()
	if ctx, err = s.sessions.Load(ctx, cookie.Value); err != nil {
		return auth.Identity{}, err // the database is away: 503
	}
	if s.sessions.Token(ctx) == "" {
		return auth.Identity{}, fmt.Errorf("%w: the session has ended", auth.ErrUnauthenticated)
	}
	user := s.sessions.GetInt64(ctx, userKey)
	if user == 0 {
		return auth.Identity{}, nil // a session of somebody who has not signed in
	}
	var admin bool
	err = s.pool.QueryRow(ctx, "SELECT admin FROM users WHERE id = $1", user).Scan(&admin)
	if errors.Is(err, pgx.ErrNoRows) {
		return auth.Identity{}, fmt.Errorf("%w: the user is gone", auth.ErrUnauthenticated)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	id := auth.Identity{
		ID: strconv.FormatInt(user, 10), Session: sessionName(cookie.Value), Expires: s.sessions.Deadline(ctx),
	}
	if admin {
		id.Roles = []string{"admin"}
	}
	return id, nil
}

// sessionName names a session in the audit trail, where its token must not be: with it anyone could come in.
func sessionName(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// signOut ends the session, and its streams in this process at once. Other processes find out within a minute.
func (s *site) signOut(cape *capebase.Cape) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ended := sessionName(s.sessions.Token(r.Context()))
		if err := s.sessions.Destroy(r.Context()); err != nil {
			s.fail(w, r, err)
			return
		}
		cape.Recheck(func(id auth.Identity) bool { return id.Session == ended })
		w.WriteHeader(http.StatusNoContent)
	}
}

// open counts the caller's open tasks: cape.SQL sees no others, so the statement need not say whose.
func (s *site) open(cape *capebase.Cape) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var count int
		if err := cape.SQL().QueryRowContext(r.Context(), "SELECT count(*) FROM tasks WHERE NOT done").Scan(&count); err != nil {
			s.fail(w, r, err)
			return
		}
		fmt.Fprintln(w, count) //nolint:errcheck // the client may have gone
	}
}
