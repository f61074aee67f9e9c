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
	attributes := append(make([]slog.Attr, 0, 12),
		slog.String("method", o.Method),
		slog.String("path", path),
		slog.String("route", o.Route),
		slog.Int("status", o.Status),
		slog.Duration("duration", o.Duration),
		slog.String("identity", o.Identity),
		slog.String("request", o.ID))
	if o.Trace != "" {
		attributes = append(attributes, slog.String("trace", o.Trace))
	}
	if o.Stream {
		attributes = append(attributes, slog.Bool("stream", true))
	}
	if o.Aborted {
		attributes = append(attributes, slog.Bool("aborted", true))
	}
	a.Logger.LogAttrs(ctx, level, "request", append(attributes, o.Attributes...)...)
}
