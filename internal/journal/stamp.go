package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Stamp writes the actor of a transaction into its entries. It exists before the database is opened: its methods are
// for sqldriver.Options, and do nothing until a Journal with this Stamp is installed.
type Stamp struct {
	// Trace, where it is set, tells which span a transaction is made in, as text.
	Trace func(ctx context.Context) string

	ready atomic.Bool
	actor stamper
}

// stamper is an engine's way to stamp.
type stamper interface {
	// begin is called right after BEGIN with the actor's JSON; "" is none, and must clear what another transaction of
	// the connection may have left.
	begin(ctx context.Context, c *sqldriver.Conn, actor string) error
	// commit is called right before COMMIT.
	commit(ctx context.Context, c *sqldriver.Conn) error
}

// framer is a stamper that can do without round trips of its own.
type framer interface {
	stamper
	// frame is for a transaction with the actor's JSON; begin and commit are called in it all the same.
	frame(actor string) sqldriver.Frame
}

// namer is a stamper whose triggers read nothing but variables.
type namer interface {
	stamper
	variables(actor string) []engine.Variable
}

// NewStamp returns a Stamp for the engine of the name.
func NewStamp(name string) (*Stamp, error) {
	switch name {
	case "sqlite":
		return &Stamp{actor: &sqliteStamp{}}, nil
	case "postgres":
		return &Stamp{actor: postgresStamp{}}, nil
	case "mysql":
		return &Stamp{actor: mysqlStamp{}}, nil
	default:
		return nil, fmt.Errorf("journal: no stamp for the engine %s", name)
	}
}

// Frame is for sqldriver.Options.Frame.
func (s *Stamp) Frame(ctx context.Context) (sqldriver.Frame, error) {
	f, ok := s.actor.(framer)
	if !ok || !s.ready.Load() {
		return sqldriver.Frame{}, nil
	}
	actor, err := s.actorOf(ctx)
	if err != nil {
		return sqldriver.Frame{}, fmt.Errorf("journal: note the actor: %w", err)
	}
	return f.frame(actor), nil
}

// Variables is for sqldriver.Options.Variables.
func (s *Stamp) Variables(ctx context.Context) ([]engine.Variable, error) {
	n, ok := s.actor.(namer)
	if !ok || !s.ready.Load() {
		return nil, nil
	}
	actor, err := s.actorOf(ctx)
	if err != nil {
		return nil, fmt.Errorf("journal: note the actor: %w", err)
	}
	if actor == "" {
		return nil, nil
	}
	return n.variables(actor), nil
}

// Begin is for sqldriver.Options.Begin.
func (s *Stamp) Begin(ctx context.Context, c *sqldriver.Conn) error {
	if !s.ready.Load() {
		return nil
	}
	actor, err := s.actorOf(ctx)
	if err == nil {
		err = s.actor.begin(ctx, c, actor)
	}
	if err != nil {
		return fmt.Errorf("journal: note the actor: %w", err)
	}
	return nil
}

// Commit is for sqldriver.Options.Commit.
func (s *Stamp) Commit(ctx context.Context, c *sqldriver.Conn) error {
	if !s.ready.Load() {
		return nil
	}
	if err := s.actor.commit(ctx, c); err != nil {
		return fmt.Errorf("journal: note the actor: %w", err)
	}
	return nil
}

// ownKey marks the transactions of the journal itself.
type ownKey struct{}

// own returns a context whose transactions have no actor: they are the journal's, and change no row of a model.
func own(ctx context.Context) context.Context { return context.WithValue(ctx, ownKey{}, true) }

// actorOf writes who a context's call is from. It is "" for the journal's own alone: a change without an actor is that of
// another program.
func (s *Stamp) actorOf(ctx context.Context) (string, error) {
	if ctx.Value(ownKey{}) != nil {
		return "", nil
	}
	actor := ActorOf(ctx)
	if s.Trace != nil {
		actor.Trace = s.Trace(ctx)
	}
	doc, err := json.Marshal(&actor)
	return string(doc), err
}

// maxUserAgent bounds what is kept of a user agent with each change, in bytes: clients can send what they like.
const maxUserAgent = 255

// ActorOf is who a context's call is from.
func ActorOf(ctx context.Context) Actor {
	id, request := auth.From(ctx), caller.RequestOf(ctx)
	reason, privileged := caller.Privilege(ctx)
	actor := Actor{
		ID: id.ID, Roles: id.Roles, Session: id.Session, Request: request.ID, UserAgent: request.UserAgent,
		Privileged: privileged, Reason: reason,
	}
	if len(actor.UserAgent) > maxUserAgent {
		actor.UserAgent = strings.ToValidUTF8(actor.UserAgent[:maxUserAgent], "")
	}
	if request.Address.IsValid() {
		actor.Address = request.Address.String()
	}
	return actor
}
