package rest

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/capebase/capebase/internal/observe"
)

// loggedPath bounds what a client's path takes of a log, in bytes.
const loggedPath = 256

// log writes the request's line: who was answered what, how, how long, and under which id. It has no headers and no
// query, which may hold secrets and filters by personal data.
func (a *API) log(ctx context.Context, o *observe.Request) {
	level := slog.LevelInfo
	switch {
	case o.Quiet:
		level = slog.LevelDebug
	case o.Status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	if a.NoRequestLog || !a.Logger.Enabled(ctx, level) {
		return
	}
	path := o.Path
	if len(path) > loggedPath {
		path = strings.ToValidUTF8(path[:loggedPath], "") + "…"
	}
	// No Logger method: they look for the line of code that called them, which costs as much as the rest and says nothing here.
	line := slog.NewRecord(o.Began.Add(o.Duration), level, "request", 0)
	line.AddAttrs(
		slog.String("method", o.Method),
		slog.String("path", path),
		slog.String("route", o.Route),
		slog.Int("status", o.Status),
		slog.Duration("duration", o.Duration),
		slog.String("identity", o.Identity),
		slog.String("request", o.ID))
	if o.Trace != "" {
		line.AddAttrs(slog.String("trace", o.Trace))
	}
	if o.Stream {
		line.AddAttrs(slog.Bool("stream", true))
	}
	if o.Aborted {
		line.AddAttrs(slog.Bool("aborted", true))
	}
	line.AddAttrs(o.Attributes...)
	_ = a.Logger.Handler().Handle(ctx, line) // as the Logger does: a log that cannot be written has nowhere to say so
}
