package stream

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/problem"
)

// subprotocol is what the server speaks; a client that offers others must offer it too.
const subprotocol = "capebase.v1"

// wantsWebSocket tells whether the request asks for the upgrade.
func wantsWebSocket(r *http.Request) bool { return hasToken(r.Header, "Upgrade", "websocket") }

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(given string) bool { return strings.EqualFold(given, token) })
}

func tokens(h http.Header, name string) []string {
	var found []string
	for _, line := range h.Values(name) {
		for token := range strings.SplitSeq(line, ",") {
			found = append(found, strings.TrimSpace(token))
		}
	}
	return found
}

// serveWebSocket upgrades the connection and serves it until either side ends it, or answers with a problem.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, res *resource) {
	if !s.sameOrigin(r) {
		// Not by fail: other credentials would not help.
		e := problem.New(problem.Permission, "a browser opened this WebSocket from another origin; Config.Origins lists those that may")
		s.note(r, e)
		request := caller.RequestOf(r.Context())
		e.Write(w, request.ID, request.Trace)
		return
	}
	if err := s.webSocket(w, r, res); err != nil {
		s.fail(w, r, err)
	}
}

// sameOrigin keeps foreign pages from using the cookies of their visitors. Programs send no Origin.
func (s *Server) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) ||
		slices.ContainsFunc(s.origins, func(allowed string) bool { return strings.EqualFold(allowed, origin) })
}

// webSocket returns an error while the connection is not upgraded.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request, res *resource) error {
	if err := checkUpgrade(w, r); err != nil {
		return err
	}
	wants, p, err := s.parseSocket(r, res)
	if err != nil {
		return err
	}
	k := &socket{server: s, single: res != nil}
	c := &connection{}
	ctx := c.open(s, r, k.interrupt)
	defer c.cancel()
	if err := s.enter(c); err != nil {
		return err
	}
	defer c.close()
	c.out, c.commands, k.connection = k, make(chan command), c
	first := opening{wants: wants, parameters: p}
	if p.message {
		c.limit, k.awaited = time.Now().Add(s.limits.AuthTime), &first
	} else if err := first.prepare(ctx, c); err != nil {
		return err
	}
	if err := k.accept(w, r); err != nil {
		return err
	}
	k.serve(ctx, &first)
	return nil
}

// opening is the subscription that a socket's URL asks for; it has no wants where messages ask.
type opening struct {
	wants      []want
	parameters parameters
	feed       *feed
	start      start
}

// prepare finds out what may be refused.
func (o *opening) prepare(ctx context.Context, c *connection) error {
	if err := c.attend(ctx); err != nil || o.wants == nil {
		return err
	}
	o.feed = c.newFeed(c.caller(), "", o.wants, o.parameters)
	var err error
	o.start, err = o.feed.plan(ctx)
	return err
}

// begin starts what was prepared.
func (o *opening) begin(ctx context.Context, c *connection) error {
	if o.feed == nil {
		return nil
	}
	c.feeds = []*feed{o.feed}
	return o.feed.begin(ctx, o.start)
}

// checkUpgrade answers a faulty handshake with a problem, before the library answers with text.
func checkUpgrade(w http.ResponseWriter, r *http.Request) error {
	const location = "header."
	offered := tokens(r.Header, "Sec-WebSocket-Protocol")
	keys := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor > 1:
		return problem.New(problem.Malformed, "expected a GET of HTTP/1.1 to open a WebSocket")
	case !hasToken(r.Header, "Connection", "upgrade"):
		return problem.At(problem.Malformed, location+"Connection", "expected Upgrade; does a proxy drop it?")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return problem.At(problem.Malformed, location+"Sec-WebSocket-Version", "expected 13")
	case len(keys) != 1 || !validKey(keys[0]):
		return problem.At(problem.Malformed, location+"Sec-WebSocket-Key", "expected 16 bytes in base64, once")
	case len(offered) > 0 && !slices.Contains(offered, subprotocol):
		return problem.At(problem.Malformed, location+"Sec-WebSocket-Protocol", "expected "+subprotocol+", or none")
	}
	return nil
}

func validKey(key string) bool {
	const size = 16
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	return err == nil && len(decoded) == size
}

// parseSocket reads the URL: as parse does for a resource, and for many auth=message alone.
func (s *Server) parseSocket(r *http.Request, res *resource) ([]want, parameters, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil && res == nil {
		return nil, parameters{}, problem.At(problem.InvalidQuery, "query", "expected parameters in URL encoding")
	}
	if err := refuseTokens(values, res); err != nil {
		return nil, parameters{}, err
	}
	how, err := single(values, authParameter)
	if err == nil && how != "" && how != "message" {
		err = problem.At(problem.InvalidQuery, "query."+authParameter, "expected message")
	}
	if err != nil {
		return nil, parameters{}, err
	}
	p := parameters{message: how != ""}
	if res == nil {
		for name := range values {
			if name != authParameter {
				return nil, p, problem.At(problem.InvalidQuery, "query."+name, "not a parameter of a WebSocket: expected subscribe messages")
			}
		}
		return nil, p, nil
	}
	if p.since, err = single(values, sinceParameter); err != nil {
		return nil, p, err
	}
	if p.snapshot, err = boolean(values, snapshotParameter); err != nil {
		return nil, p, err
	}
	w, err := res.filtered(r.URL.RawQuery, sinceParameter, snapshotParameter, authParameter)
	return []want{w}, p, err
}

// accept upgrades the connection.
func (k *socket) accept(w http.ResponseWriter, r *http.Request) error {
	if !hijackable(w) {
		return errors.New("a middleware's http.ResponseWriter has neither Hijack nor Unwrap")
	}
	conn, err := websocket.Accept(&hijackWriter{ResponseWriter: w, socket: k}, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // sameOrigin has looked
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil { // the library has answered as far as that was possible
		k.server.logger.WarnContext(r.Context(), "a WebSocket cannot be opened", "error", err, "request", caller.RequestOf(r.Context()).ID)
		panic(http.ErrAbortHandler)
	}
	conn.SetReadLimit(k.server.limits.Message)
	k.conn = conn
	k.written = time.Now()
	return nil
}

// hijackable tells whether a connection can be taken over from under w.
func hijackable(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		unwrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = unwrapper.Unwrap()
	}
}
