package accounts_test

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/sqlite"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c, other := b.user("ada@example.com"), b.user("bob@example.com")
		id := c.me().ID
		// One's own row, and the fields that are the program's own.
		if list := c.get("/auth/users").want(http.StatusOK); !strings.Contains(list.body, id) || strings.Contains(list.body, "bob") || strings.Contains(list.body, "hash") {
			t.Errorf("users: %s", list.body)
		}
		c.do(http.MethodPatch, "/auth/users/"+id, m{"name": "Ada"}).want(http.StatusOK)
		other.do(http.MethodPatch, "/auth/users/"+id, m{"name": "Bob"}).problem(http.StatusNotFound, "not_found")
		for field, value := range map[string]any{
			"roles": []string{"admin"}, "email": "x@example.com", "email_verified": false, "id": "x", "score": 1, "created_at": "2020-01-01T00:00:00Z",
		} {
			if a := c.do(http.MethodPatch, "/auth/users/"+id, m{field: value}); a.status != http.StatusForbidden && a.status != http.StatusUnprocessableEntity {
				t.Errorf("PATCH of %s: %d %s", field, a.status, a.body)
			}
		}
		for _, field := range []string{"password_hash", "PasswordHash", "passwordHash"} {
			c.do(http.MethodPatch, "/auth/users/"+id, m{field: "x"}).problem(http.StatusUnprocessableEntity, "invalid")
			c.get("/auth/users?"+field+"=eq.x").problem(http.StatusBadRequest, "invalid_query")
			c.get("/auth/users?order="+field).problem(http.StatusBadRequest, "invalid_query")
		}
		for _, field := range []string{"roles", "id", "email_verified", "name", "score"} {
			b.browser().post("/auth/register", m{"email": "x@example.com", "password": first, field: "x"}).problem(http.StatusUnprocessableEntity, "invalid")
		}
		c.post("/auth/users", m{"name": "x"}).problem(http.StatusMethodNotAllowed, "method_not_allowed")
		c.do(http.MethodDelete, "/auth/users/"+id, nil).problem(http.StatusForbidden, "permission")
		admin := b.program("root")
		if list := admin.get("/auth/users?email=eq.bob@example.com").want(http.StatusOK); !strings.Contains(list.body, "bob") {
			t.Errorf("an admin sees %s", list.body)
		}
		admin.do(http.MethodDelete, "/auth/users/"+other.me().ID, nil).want(http.StatusNoContent)
		other.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		for _, path := range []string{"/auth/tickets", "/auth_tickets", "/ticket", "/counter", "/auth/counters"} {
			admin.get(path).problem(http.StatusNotFound, "not_found")
		}
		admin.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated") // has no account
		admin.get("/subscribe?tables=auth_tickets").problem(http.StatusBadRequest, "invalid_query")
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c, other := b.user("ada@example.com"), b.user("bob@example.com")
		mine, theirs := "/auth/users/"+c.me().ID+"/roles", "/auth/users/"+other.me().ID+"/roles"
		b.browser().do(http.MethodPut, mine, m{"roles": []string{"admin"}}).problem(http.StatusUnauthorized, "unauthenticated")
		c.do(http.MethodPut, mine, m{"roles": []string{"admin"}}).problem(http.StatusForbidden, "permission")
		b.roles(c, "admin", "editor", "editor")
		if got := c.me().Roles; !slices.Equal(got, []string{"admin", "editor"}) {
			t.Errorf("roles %v", got)
		}
		c.do(http.MethodPut, theirs, m{"roles": []string{"editor"}}).want(http.StatusNoContent)
		c.do(http.MethodPut, theirs, m{"roles": []string{"editor"}}).want(http.StatusNoContent) // no change is no mistake
		c.do(http.MethodPut, mine, m{"roles": []string{"editor"}}).problem(http.StatusForbidden, "permission")
		for _, id := range []string{"nobody", "%20", "%E2%82%AC", "0199999a-0000-7000-8000-000000000000"} {
			c.do(http.MethodPut, "/auth/users/"+id+"/roles", m{"roles": []string{}}).problem(http.StatusNotFound, "not_found")
		}
		for _, roles := range []any{[]string{"*"}, []string{""}, []string{"a b"}, []string{"a\x00"}, []string{strings.Repeat("x", 65)}, "admin", nil, []any{1}} {
			c.do(http.MethodPut, theirs, m{"roles": roles}).problem(http.StatusUnprocessableEntity, "invalid")
		}
		if got := other.me().Roles; !slices.Equal(got, []string{"editor"}) {
			t.Errorf("roles %v", got)
		}
	})
}

func TestFirstAdmin(t *testing.T) {
	t.Setenv("CAPEBASE_ADMIN_EMAIL", "Root@Example.com")
	t.Setenv("CAPEBASE_ADMIN_PASSWORD", first)
	for _, engine := range []string{dbtest.SQLite, dbtest.Postgres, dbtest.MariaDB} {
		target := dbtest.New(t, engine)
		b := start(t, target, options{})
		start(t, target, options{clock: b.clock})
		if who := b.login("root@example.com", first).me(); !slices.Equal(who.Roles, []string{"admin"}) || !who.EmailVerified {
			t.Errorf("%s: the first admin is %+v", engine, who)
		}
		if n := count(t, raw(t, target), "members"); n != 1 {
			t.Errorf("%s: %d users", engine, n)
		}
	}
	for _, wrong := range [][2]string{{"nobody", first}, {"root@example.com", "short"}, {"root@example.com", ""}} {
		t.Setenv("CAPEBASE_ADMIN_EMAIL", wrong[0])
		t.Setenv("CAPEBASE_ADMIN_PASSWORD", wrong[1])
		b := open(t, dbtest.New(t, dbtest.SQLite), options{})
		if err := b.cape.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "CAPEBASE_ADMIN_") || strings.Contains(err.Error(), "short") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

type pointing struct {
	*accounts.User
	Name string
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]accounts.Config{
		"Path":        {Path: "auth/"},
		"URL":         {URL: "app.example.com"},
		"MinPassword": {MinPassword: 7},
		"MaxPassword": {MaxPassword: 20},
		"Idle":        {Idle: -1},
		"Failures":    {AccountFailures: -1},
		"Concurrent":  {Hash: accounts.Hash{Concurrent: -1}},
		"Cookie":      {Cookie: "__Host-x", Insecure: true},
	} {
		cape, err := capebase.Open(sqlite.Temp(), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		accounts.New[accounts.User](cape, config)
		if err := cape.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", config, err)
		}
		if err := cape.Close(); err != nil {
			t.Error(err)
		}
	}
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	accounts.New[pointing](cape, accounts.Config{})
	if err := cape.Start(t.Context()); err == nil {
		t.Error("an embedded pointer is no mistake")
	}
	if err := cape.Close(); err != nil {
		t.Error(err)
	}
}
