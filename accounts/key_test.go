package accounts_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

type key struct {
	ID     string
	Name   string
	Hint   string
	Roles  []string
	SeenAt *time.Time `json:"seen_at"`
	Key    string
}

func (c *client) key(body m) key {
	c.t.Helper()
	return decode[key](c.post("/auth/keys", body).want(http.StatusCreated))
}

// roles sets the roles of a client's user.
func (b *bed) roles(c *client, roles ...string) {
	b.t.Helper()
	b.program("root").do(http.MethodPut, "/auth/users/"+c.me().ID+"/roles", m{"roles": append([]string{}, roles...)}).want(http.StatusNoContent)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		b.roles(c, "editor", "admin")
		c.post("/auth/keys", m{"name": "x", "roles": []string{"owner"}}).problem(http.StatusUnprocessableEntity, "invalid")
		b.browser().post("/auth/keys", m{"name": "x"}).problem(http.StatusUnauthorized, "unauthenticated")
		k := c.key(m{"name": "ci", "roles": []string{"editor"}})
		plain, reader := c.key(m{"name": "plain"}), c.key(m{"name": "reader", "read_only": true, "roles": []string{"editor"}})
		admin := c.key(m{"name": "admin", "roles": []string{"admin"}})
		if !strings.HasPrefix(k.Key, "cape_key_") || len(k.Key) != len("cape_key_")+49 {
			t.Errorf("the key is %s", k.Key)
		}
		who := b.program(k.Key).me()
		if who.ID != c.me().ID || who.Session != k.ID || who.Credential != "key" || !slices.Equal(who.Roles, []string{"editor"}) || who.ReadOnly {
			t.Errorf("the key is %+v", who)
		}
		if who := b.program(plain.Key).me(); len(who.Roles) != 0 {
			t.Errorf("a key without roles has %v", who.Roles)
		}
		b.program(plain.Key).post("/note", m{"text": "by a key"}).want(http.StatusCreated)
		if who := b.program(reader.Key).me(); !who.ReadOnly {
			t.Errorf("a read-only key is %+v", who)
		}
		b.program(reader.Key).get("/note").want(http.StatusOK)
		b.program(reader.Key).post("/note", m{"text": "x"}).problem(http.StatusForbidden, "permission")
		b.program(reader.Key).do(http.MethodDelete, "/auth/keys/"+k.ID, nil).problem(http.StatusForbidden, "permission")
		// A key is no account: it makes no keys, changes nothing that signs in, and makes nobody an admin.
		for _, k := range []key{k, plain, reader, admin} {
			p := b.program(k.Key)
			for path, body := range map[string]any{
				"/auth/keys": m{"name": "x"}, "/auth/password": m{"current": first, "password": second}, "/auth/sessions/revoke-others": nil,
				"/auth/email": m{"email": "new@example.com", "password": first}, "/auth/verify/resend": nil,
			} {
				p.post(path, body).problem(http.StatusForbidden, "permission")
			}
			p.do(http.MethodDelete, "/auth/me", m{"password": first}).problem(http.StatusForbidden, "permission")
			p.do(http.MethodPut, "/auth/users/"+who.ID+"/roles", m{"roles": []string{"admin"}}).problem(http.StatusForbidden, "permission")
			p.post("/auth/logout", nil).want(http.StatusNoContent)
			p.me()
		}
		list := c.get("/auth/keys").want(http.StatusOK)
		rows := decode[[]key](list)
		if len(rows) != 4 || rows[0].Hint != k.Key[:13] || rows[0].SeenAt == nil || strings.Contains(list.body, k.Key) || strings.Contains(list.body, "hash") {
			t.Errorf("keys: %s", list.body)
		}
		// What the owner loses, the key loses.
		b.roles(c)
		if who := b.program(k.Key).me(); len(who.Roles) != 0 {
			t.Errorf("the key has %v", who.Roles)
		}
		stranger := b.user("bob@example.com")
		stranger.do(http.MethodDelete, "/auth/keys/"+k.ID, nil).problem(http.StatusNotFound, "not_found")
		c.do(http.MethodDelete, "/auth/keys/"+k.ID, nil).want(http.StatusNoContent)
		b.program(k.Key).get("/note").problem(http.StatusUnauthorized, "unauthenticated")
	})
}

func TestKeysExpire(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		for _, at := range []any{b.clock.now(), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "tomorrow", 1} {
			c.post("/auth/keys", m{"name": "x", "expires_at": at}).problem(http.StatusUnprocessableEntity, "invalid")
		}
		k := c.key(m{"name": "x", "expires_at": b.clock.now().Add(time.Hour)})
		b.program(k.Key).me()
		b.clock.pass(time.Hour)
		b.program(k.Key).get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
	})
}

func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.SQLite), options{})
	c := b.user("ada@example.com")
	for range 100 {
		c.key(m{"name": "x"})
	}
	c.post("/auth/keys", m{"name": "x"}).problem(http.StatusConflict, "conflict")
}
