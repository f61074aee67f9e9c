package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/crypto/bcrypt"
)

// userKey is where the session has the user's id.
const userKey = "user"

func (s *site) hash(password string) ([]byte, error) {
	return bcrypt.GenerateFromPassword([]byte(password), s.cost)
}

func (s *site) signUp(w http.ResponseWriter, r *http.Request) {
	name, password := r.PostFormValue("name"), r.PostFormValue("password")
	if name == "" || len(name) > 100 || len(password) < 10 || len(password) > 72 {
		http.Error(w, "want a name and a password of 10 to 72 bytes", http.StatusUnprocessableEntity)
		return
	}
	hashed, err := s.hash(password)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var id int64
	err = s.pool.QueryRow(r.Context(), "INSERT INTO users (name, password) VALUES ($1, $2) RETURNING id", name, string(hashed)).Scan(&id)
	if failure := new(pgconn.PgError); errors.As(err, &failure) && failure.Code == "23505" {
		http.Error(w, "the name is taken", http.StatusConflict)
		return
	}
	s.begin(w, r, id, err)
}

func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	var id int64
	hashed := s.nobody
	err := s.pool.QueryRow(r.Context(), "SELECT id, password FROM users WHERE name = $1", r.PostFormValue("name")).Scan(&id, &hashed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		s.fail(w, r, err)
		return
	}
	if bcrypt.CompareHashAndPassword(hashed, []byte(r.PostFormValue("password"))) != nil || id == 0 {
		http.Error(w, "name or password is wrong", http.StatusUnauthorized)
		return
	}
	s.begin(w, r, id, nil)
}

// begin begins a session, under a new token.
func (s *site) begin(w http.ResponseWriter, r *http.Request, user int64, err error) {
	if err == nil {
		err = s.sessions.RenewToken(r.Context())
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.sessions.Put(r.Context(), userKey, user)
	w.WriteHeader(http.StatusNoContent)
}

// quick adds a task as the program always did, past CapeBase. The streams see it all the same: the trigger does.
func (s *site) quick(w http.ResponseWriter, r *http.Request) {
	user, title := s.sessions.GetInt64(r.Context(), userKey), r.PostFormValue("title")
	if user == 0 {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	if err := s.addTask(r.Context(), user, title); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) addTask(ctx context.Context, owner int64, title string) error {
	_, err := s.pool.Exec(ctx, "INSERT INTO tasks (owner, title) VALUES ($1, $2)", owner, title)
	return err
}

// cleanUp deletes sessions that have expired, until ctx ends.
func (s *site) cleanUp(ctx context.Context) {
	tick := time.NewTicker(5 * time.Minute)
	defer tick.Stop()
	for {
		if _, err := s.pool.Exec(ctx, "DELETE FROM sessions WHERE expiry < current_timestamp"); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "sessions were not cleaned up", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fail answers 500; what happened is for the log alone.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.logger.ErrorContext(r.Context(), "a request failed", "path", r.URL.Path, "error", err)
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}
