package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/body"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// maxID is the longest id of a subscription, in code points.
const maxID = 64

// The messages of a client, checked. Each is run by the connection's loop.
type (
	authMessage struct {
		socket *socket
		token  string
	}
	subscribeMessage struct {
		socket     *socket
		id, table  string
		filter     string
		parameters parameters
	}
	unsubscribeMessage struct {
		socket *socket
		id     string
	}
	wrongMessage struct {
		socket *socket
		id     string
		err    error // *closing, or a problem that the socket survives
	}
)

// parse reads a message; whatever is wrong with it becomes a message that says so.
func (k *socket) parse(kind websocket.MessageType, data []byte) command {
	if kind != websocket.MessageText {
		return wrongMessage{k, "", &closing{websocket.StatusUnsupportedData, "expected text"}}
	}
	document, err := body.Decode(bytes.NewReader(data), k.server.limits.Message)
	if err != nil {
		return wrongMessage{k, "", err}
	}
	outer, ok := document.(map[string]any)
	if !ok || len(outer) != 1 {
		return wrongMessage{k, "", expectedMessage()}
	}
	for name, v := range outer {
		m := members{name: name}
		if m.given, ok = v.(map[string]any); !ok {
			return wrongMessage{k, "", problem.At(problem.Malformed, name, "expected an object")}
		}
		id, _ := m.given["id"].(string)
		if !validID(id) {
			id = "" // a wrong one is not repeated
		}
		message, err := k.build(&m)
		if err == nil {
			err = m.err()
		}
		if err != nil {
			return wrongMessage{k, id, err}
		}
		return message
	}
	return wrongMessage{k, "", expectedMessage()}
}

func expectedMessage() error {
	return problem.New(problem.Malformed, `expected {"auth":{…}}, {"subscribe":{…}} or {"unsubscribe":{…}}`)
}

func (k *socket) build(m *members) (command, error) {
	switch m.name {
	case "auth":
		return authMessage{k, m.text("token", true)}, nil
	case "subscribe":
		return subscribeMessage{
			socket: k, id: m.id(), table: m.text("table", true), filter: m.text("filter", false),
			parameters: parameters{since: m.text("since", false), snapshot: m.boolean("snapshot")},
		}, nil
	case "unsubscribe":
		return unsubscribeMessage{k, m.id()}, nil
	}
	return nil, expectedMessage()
}

// members reads the members of a message and notes its mistakes.
type members struct {
	name  string
	given map[string]any
	known []string
	wrong []problem.FieldError
}

func (m *members) mistake(member, message string) {
	m.wrong = append(m.wrong, problem.FieldError{Location: m.name + "." + member, Message: message})
}

func (m *members) text(member string, required bool) string {
	m.known = append(m.known, member)
	v, there := m.given[member]
	text, ok := v.(string)
	switch {
	case there && !ok, required && text == "":
		m.mistake(member, "expected a string")
	case !predicate.ValidText(text):
		m.mistake(member, "expected text without NUL")
	}
	return text
}

func (m *members) boolean(member string) bool {
	m.known = append(m.known, member)
	v, there := m.given[member]
	yes, ok := v.(bool)
	if there && !ok {
		m.mistake(member, "expected true or false")
	}
	return yes
}

func (m *members) id() string {
	id := m.text("id", false)
	if !validID(id) {
		m.mistake("id", fmt.Sprintf("expected a string of 1 to %d characters", maxID))
	}
	return id
}

func validID(id string) bool {
	return id != "" && predicate.ValidText(id) && utf8.RuneCountInString(id) <= maxID
}

// err is what was wrong; unknown members are too.
func (m *members) err() error {
	for _, member := range slices.Sorted(maps.Keys(m.given)) {
		if !slices.Contains(m.known, member) {
			m.mistake("*", "expected no other members than "+fmt.Sprint(m.known))
			break
		}
	}
	if m.wrong == nil {
		return nil
	}
	return problem.Fields(problem.Malformed, m.wrong)
}

func (m wrongMessage) run(ctx context.Context, _ *connection) error {
	m.socket.heard = true
	if c, ok := m.err.(*closing); ok { //nolint:errorlint // it was made above
		return c
	}
	return m.socket.mistake(ctx, m.id, m.err)
}

// run makes the bearer of the token the caller, as if the request had come with it.
func (m authMessage) run(ctx context.Context, c *connection) error {
	k := m.socket
	first := !k.heard
	k.heard = true
	if !first && k.awaited == nil {
		return k.mistake(ctx, "", problem.New(problem.Malformed, "expected auth once, and as the first message"))
	}
	r := c.request.Clone(c.request.Context())
	r.Header.Set("Authorization", "Bearer "+m.token)
	id, err := c.ask(ctx, r)
	if err != nil {
		return err
	}
	if err := c.server.move(c, ownerOf(ctx, id)); err != nil {
		return err
	}
	c.request = r
	c.identity.Store(&id)
	if c.expired() {
		return errExpired()
	}
	opening := k.awaited
	k.awaited, c.limit = nil, time.Time{}
	if opening == nil {
		return nil
	}
	if err := opening.prepare(ctx, c); err != nil {
		return err
	}
	return opening.begin(ctx, c)
}

func (m subscribeMessage) run(ctx context.Context, c *connection) error {
	k := m.socket
	k.heard = true
	err := m.subscribe(ctx, c)
	var p *problem.Error
	if errors.As(err, &p) {
		return k.mistake(ctx, m.id, p)
	}
	return err
}

func (m subscribeMessage) subscribe(ctx context.Context, c *connection) error {
	s := c.server
	if err := m.socket.mayChange(); err != nil {
		return err
	}
	if len(c.feeds) >= s.limits.Subscriptions {
		return problem.Newf(problem.RateLimited, "expected at most %d subscriptions on a socket", s.limits.Subscriptions)
	}
	if c.feed(m.id) != nil {
		return problem.At(problem.Conflict, "subscribe.id", "expected an id that no other subscription of this socket has")
	}
	r := s.resources[m.table]
	if r == nil {
		return problem.At(problem.InvalidQuery, "subscribe.table", s.expectedTables())
	}
	w, err := r.filtered(m.filter)
	if err != nil {
		return err
	}
	f := c.newFeed(c.caller(), m.id, []want{w}, m.parameters)
	st, err := f.plan(ctx)
	if err != nil {
		return err
	}
	c.feeds = append(slices.Clip(c.feeds), f)
	return c.survive(ctx, f, f.begin(ctx, st))
}

// mayChange tells why a socket takes no subscriptions now.
func (k *socket) mayChange() error {
	switch {
	case k.awaited != nil:
		return problem.New(problem.Unauthenticated, "expected the auth message first")
	case k.single:
		return problem.New(problem.Malformed, "this socket has the subscription of its URL: expected messages of this kind on /subscribe")
	}
	return nil
}

func (m unsubscribeMessage) run(ctx context.Context, c *connection) error {
	k := m.socket
	k.heard = true
	if err := k.mayChange(); err != nil {
		return k.mistake(ctx, m.id, err)
	}
	f := c.feed(m.id)
	if f == nil {
		return k.mistake(ctx, m.id, problem.At(problem.NotFound, "unsubscribe.id", "expected the id of a subscription"))
	}
	c.drop(f)
	k.send(append(k.message("unsubscribed", f, ""), '}'))
	return nil
}
