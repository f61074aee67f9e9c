package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxBody = 1 << 20
	maxTask = 200
	page    = 100
	maxPage = 1000
)

// server answers HTTP requests for todos.
type server struct {
	store *store
	users map[string]string // bearer token → user ID
	live  live
}

func newServer(s *store, users map[string]string) http.Handler {
	server := &server{store: s, users: users}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /todo", server.signedIn(server.list))
	mux.HandleFunc("POST /todo", server.signedIn(server.create))
	mux.HandleFunc("GET /todo/{id}", server.signedIn(server.get))
	mux.HandleFunc("PATCH /todo/{id}", server.signedIn(server.update))
	mux.HandleFunc("GET /todo/subscribe", server.signedIn(server.subscribe))
	return mux
}

// failure is an error that its client is told about.
type failure struct {
	status int
	detail string
}

func (f *failure) Error() string { return f.detail }

// handler answers for a signed-in user; what it returns as an error is still to be answered.
type handler func(w http.ResponseWriter, r *http.Request, user string) error

func (s *server) signedIn(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		user, known := s.users[token]
		if !ok || !known {
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, r, &failure{http.StatusUnauthorized, "a bearer token is required"})
			return
		}
		if err := next(w, r, user); err != nil {
			fail(w, r, err)
		}
	}
}

func (s *server) get(w http.ResponseWriter, r *http.Request, user string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	row, err := s.store.one(r.Context(), user, id)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, row)
}

func (s *server) list(w http.ResponseWriter, r *http.Request, user string) error {
	query := r.URL.Query()
	limit, err := number(query.Get("limit"), page)
	if err != nil {
		return err
	}
	offset, err := number(query.Get("offset"), 0)
	if err != nil {
		return err
	}
	rows, err := s.store.list(r.Context(), user, min(limit, maxPage), offset)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, rows)
}

func (s *server) create(w http.ResponseWriter, r *http.Request, user string) error {
	var body struct {
		UserID     *string `json:"user_id"`
		Task       *string `json:"task"`
		IsComplete bool    `json:"is_complete"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.UserID != nil && *body.UserID != user {
		return &failure{http.StatusForbidden, "user_id is another user's"}
	}
	if body.Task == nil {
		return &failure{http.StatusUnprocessableEntity, "task is required"}
	}
	if err := checkTask(*body.Task); err != nil {
		return err
	}
	row, err := s.store.create(r.Context(), user, *body.Task, body.IsComplete)
	if err != nil {
		return err
	}
	if err := s.live.broadcast("INSERT", row); err != nil {
		return err
	}
	w.Header().Set("Location", "/todo/"+strconv.FormatInt(row.ID, 10))
	return answer(w, http.StatusCreated, row)
}

func (s *server) update(w http.ResponseWriter, r *http.Request, user string) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var change change
	if err := decode(w, r, &change); err != nil {
		return err
	}
	if change.UserID != nil && *change.UserID != user {
		return &failure{http.StatusForbidden, "user_id is another user's"}
	}
	if change.Task != nil {
		if err := checkTask(*change.Task); err != nil {
			return err
		}
	}
	row, err := s.store.update(r.Context(), user, id, change)
	if err != nil {
		return err
	}
	if err := s.live.broadcast("UPDATE", row); err != nil {
		return err
	}
	return answer(w, http.StatusOK, row)
}

func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, &failure{http.StatusBadRequest, "the id is not an integer"}
	}
	return id, nil
}

func number(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &failure{http.StatusBadRequest, "limit and offset are numbers from 0"}
	}
	return n, nil
}

func checkTask(task string) error {
	if n := utf8.RuneCountInString(task); n < 1 || n > maxTask {
		return &failure{http.StatusUnprocessableEntity, "task has 1 to 200 characters"}
	}
	return nil
}

// decode reads exactly one JSON object of known fields.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &failure{http.StatusUnsupportedMediaType, "send application/json"}
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return bodyFailure(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &failure{http.StatusBadRequest, "the body goes on after its object"}
	}
	return nil
}

func bodyFailure(err error) error {
	var tooLarge *http.MaxBytesError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &tooLarge):
		return &failure{http.StatusRequestEntityTooLarge, "the body is too large"}
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &failure{http.StatusBadRequest, "the body is not JSON"}
	default: // a value of another type, a field that is not known
		return &failure{http.StatusUnprocessableEntity, err.Error()}
	}
}

func answer[T any](w http.ResponseWriter, status int, value T) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err = w.Write(body)
	if err != nil { // the client is gone; nobody is left to be told
		slog.Debug("write", "error", err)
	}
	return nil
}

func fail(w http.ResponseWriter, r *http.Request, err error) {
	status, detail := http.StatusInternalServerError, "something went wrong"
	var known *failure
	switch {
	case errors.As(err, &known):
		status, detail = known.status, known.detail
	case errors.Is(err, errNotFound):
		status, detail = http.StatusNotFound, "there is no such todo"
	case errors.Is(err, context.Canceled):
		return
	default:
		slog.Error("request", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	if err != nil {
		slog.Error("encode", "error", err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		slog.Debug("write", "error", err)
	}
}
