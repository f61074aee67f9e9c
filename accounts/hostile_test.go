package accounts_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

// TestHostileBodies: whatever is sent to a route, the answer is a problem of the client's.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{accounts: accounts.Config{AccountFailures: 1 << 30, AddressFailures: 1 << 30}})
		c := b.user("ada@example.com")
		b.roles(c, "admin")
		good := map[string]m{
			"POST /auth/register":                     {"email": "eve@example.com", "password": first},
			"POST /auth/login":                        {"email": "ada@example.com", "password": first},
			"POST /auth/verify":                       {"token": "x"},
			"POST /auth/forgot":                       {"email": "ada@example.com"},
			"POST /auth/reset":                        {"token": "x", "password": first},
			"POST /auth/password":                     {"current": first, "password": second},
			"POST /auth/email":                        {"email": "eve@example.com", "password": first},
			"POST /auth/email/confirm":                {"token": "x"},
			"POST /auth/keys":                         {"name": "x"},
			"DELETE /auth/me":                         {"password": first},
			"PUT /auth/users/" + c.me().ID + "/roles": {"roles": []string{"admin"}},
		}
		for route, body := range good {
			method, path, _ := strings.Cut(route, " ")
			for _, hostile := range hostileBodies(t, body) {
				a := c.do(method, path, hostile)
				if a.status < 400 || a.status >= 500 || a.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s with %.200q: %d %s", route, hostile, a.status, a.body)
				}
			}
		}
		c.me() // none of it did anything
	})
}

// hostileBodies are made of a good one.
func hostileBodies(t *testing.T, good m) []string {
	t.Helper()
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	bodies := []string{
		"", " ", "{", "null", "[]", `"x"`, "1", "\xff\xfe", "{}", `{"":""}`, strings.Repeat("[", 100_000),
		encode(good) + encode(good), encode(good) + "x", "\xef\xbb\xbf" + encode(good),
	}
	for name := range good {
		for _, value := range []string{
			"null", "1", "-1e999", "true", "{}", "[]", `""`, `[1]`, `[null]`, `["\u0000"]`, `"\u0000"`, `"a\u0000b@example.com"`, `"\ud800"`, "\"\xff\"", "\"\xed\xa0\x80\"",
			`"` + strings.Repeat("x", 5000) + `"`, `"` + strings.Repeat("x", 2<<20) + `"`, `"a@b\r\nBcc: c@d"`, `"Ada <ada@example.com>"`, `"' OR 1=1 --"`,
		} {
			text := strings.HasSuffix(value, `com>"`) || strings.HasSuffix(value, `c@d"`) || strings.HasSuffix(value, `--"`)
			if name == "roles" && value == "[]" || name == "name" && text || name == "password" && text {
				continue // is no mistake there
			}
			changed := m{name: json.RawMessage("0")}
			for other := range good {
				if other != name {
					changed[other] = good[other]
				}
			}
			bodies = append(bodies, strings.Replace(encode(changed), `"`+name+`":0`, `"`+name+`":`+value, 1))
		}
		missing, more := m{}, m{"admin": true}
		for other := range good {
			more[other] = good[other]
			if other != name {
				missing[other] = good[other]
			}
		}
		bodies = append(bodies, encode(missing), encode(more))
	}
	return bodies
}

func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.Postgres), options{accounts: accounts.Config{AddressFailures: 1 << 30}})
	for _, email := range []string{
		"a", "@", "a@", "@b", "a b@c.de", "a@b@c", "<a@b.de>", "a@b.de,c@d.de", "\"a\"@b.de", "a@b.de\r\nBcc: x@y.de", "a@b.de\x00", "a@b.de\u202e",
		"a\u2028@b.de", "a(comment)@b.de", strings.Repeat("a", 250) + "@b.de", "a@[127.0.0.1", "mailto:a@b.de", "a..b@c.de", ".a@b.de", "a;b@c.de",
	} {
		for _, path := range []string{"/auth/register", "/auth/login"} {
			b.browser().post(path, m{"email": email, "password": first}).problem(http.StatusUnprocessableEntity, "invalid")
		}
		b.browser().post("/auth/forgot", m{"email": email}).problem(http.StatusUnprocessableEntity, "invalid")
	}
	// The Kelvin sign is the letter k in lower case: the mail goes to who has the account, not to what was typed.
	b.register("kim@example.com", first)
	b.browser().post("/auth/forgot", m{"email": "\u212aim@example.com"})
	b.browser().post("/auth/forgot", m{"email": "kim@example.com"}).want(http.StatusAccepted)
	b.mails.token(t, "kim@example.com")
}
