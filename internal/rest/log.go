package rest

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Logged writes one line a request: who answers what, how, how long, and under which id.
func Logged(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		var identity string
		next.ServeHTTP(recorder, r.WithContext(context.WithValue(r.Context(), identityKey{}, &identity)))
		level := slog.LevelInfo
		if recorder.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		logger.LogAttrs(r.Context(), level, "request",
			slog.String("method", r.Method),
			slog.String("path", r.URL.Path),
			slog.Int("status", recorder.status),
			slog.Duration("duration", time.Since(begin)),
			slog.String("identity", identity),
			slog.String("request", w.Header().Get("X-Request-Id")))
	})
}

// identityKey is where a log line waits for the caller's ID.
type identityKey struct{}

// noteIdentity tells the request's log line who is calling.
func noteIdentity(ctx context.Context, id string) {
	if note, ok := ctx.Value(identityKey{}).(*string); ok {
		*note = id
	}
}

// statusWriter notes the status. It unwraps, so that http.ResponseController reaches the connection.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
