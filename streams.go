package capebase

import (
	"context"
	"net/http"
	"strings"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/store"
	"github.com/capebase/capebase/internal/stream"
)

// newStreams joins the streams to the journal, the hub and the stores.
func (c *Cape) newStreams(all []*published, stores []*store.Store) {
	limits := c.config.Limits
	options := stream.Options{
		Hub: c.live.Load().hub, Journal: &streamJournal{cape: c, stores: stores}, Logger: c.config.Logger, Origins: c.config.Origins,
		Authenticate: c.authenticateAgain, Refused: c.refused,
		Limits: stream.Limits{Streams: limits.Streams, StreamsEach: limits.StreamsEach, Drain: limits.Shutdown / 2},
	}
	for table, p := range all {
		if p.options.routes&Subscribe == 0 {
			continue
		}
		options.Resources = append(options.Resources, stream.Resource{
			Name: p.streamName(), Table: table, Model: p.model, Visible: stores[table].Visible,
		})
	}
	c.streams = stream.New(options)
}

// streamName is what events and ?tables= call the resource: its path, with dots for inner slashes.
func (p *published) streamName() string {
	return strings.ReplaceAll(strings.TrimPrefix(p.options.path, "/"), "/", ".")
}

// authenticateAgain asks for the identity of a stream's own request once more. One that was in the context before the
// request came (auth.With) has no credentials to ask about, and stays.
func (c *Cape) authenticateAgain(r *http.Request) (auth.Identity, error) {
	if id, given := c.api.Given(r.Context()); given {
		return id, nil
	}
	return c.api.Authenticate(r)
}

// EndStreams tells the clients of live streams to reconnect elsewhere; http.Server.RegisterOnShutdown(cape.EndStreams)
// lets Shutdown return.
func (c *Cape) EndStreams() {
	if c.started.Load() {
		c.streams.EndStreams()
	}
}

// Recheck runs the authenticators again for the open streams of this process whose identity matches: the stream goes on,
// is reset or ends. Called from OnChange of a table of sessions or memberships, it acts on every node. By itself it
// happens every minute.
func (c *Cape) Recheck(match func(auth.Identity) bool) {
	if c.started.Load() {
		c.streams.Recheck(match)
	}
}

// streamJournal is the journal as streams read it: the present one, since [stream.Server.Rebase] comes after the change.
type streamJournal struct {
	cape   *Cape
	stores []*store.Store
}

func (j *streamJournal) present() *journal.Journal { return j.cape.live.Load().journal }

// Token implements stream.Journal.
func (j *streamJournal) Token(at journal.Mark, set uint64) string { return j.present().Token(at, set) }

// Resume implements stream.Journal.
func (j *streamJournal) Resume(ctx context.Context, token string, set uint64) (journal.Mark, journal.State, error) {
	return j.present().Resume(ctx, token, set)
}

// Read gives each entry as the hub's event.
func (j *streamJournal) Read(ctx context.Context, after int64, limit int) ([]hub.Event, error) {
	entries, err := j.present().Read(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	events := make([]hub.Event, len(entries))
	for i := range entries {
		events[i] = hubEvent(&entries[i])
	}
	return events, nil
}

// Snapshot lets fn read rows of tables in one consistent read.
func (j *streamJournal) Snapshot(ctx context.Context, tables []int, fn func(context.Context, stream.Rows) error) (journal.Snapshot, error) {
	return j.present().Snapshot(ctx, tables, func(ctx context.Context, _ *sqldriver.Conn) error {
		return fn(ctx, func(ctx context.Context, table int, where *predicate.Expr, visit func([]predicate.Value) error) error {
			return j.stores[table].Visit(ctx, where, visit)
		})
	})
}
