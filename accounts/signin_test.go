package accounts_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

func TestSignUpAndSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.browser()
		c.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/register", m{"email": "  Ada@Example.com ", "password": first}).want(http.StatusAccepted)
		token := b.mails.token(t, "ada@example.com")
		// Not before the address is confirmed.
		before := c.post("/auth/login", m{"email": "ada@example.com", "password": first}).problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/verify", m{"token": token}).want(http.StatusNoContent)
		c.post("/auth/verify", m{"token": token}).problem(http.StatusUnprocessableEntity, "invalid")
		wrong := c.post("/auth/login", m{"email": "ada@example.com", "password": "wrong"}).problem(http.StatusUnauthorized, "unauthenticated")
		unknown := c.post("/auth/login", m{"email": "nobody@example.com", "password": "wrong"}).problem(http.StatusUnauthorized, "unauthenticated")
		if same(before) != same(wrong) || same(wrong) != same(unknown) {
			t.Errorf("answers tell accounts apart:\n%s\n%s\n%s", before.body, wrong.body, unknown.body)
		}
		in := c.post("/auth/login", m{"email": "ADA@example.com", "password": first}).want(http.StatusOK)
		if strings.Contains(in.body, "cape_session_") || in.header.Get("Cache-Control") != "no-store" {
			t.Errorf("the token of a cookie is in the body, or may be cached: %s %v", in.body, in.header)
		}
		who := c.me()
		if who.Email != "ada@example.com" || !who.EmailVerified || len(who.Roles) != 0 || who.Credential != "session" || len(who.ID) != 36 || who.ID[14] != '7' {
			t.Errorf("GET /auth/me: %+v", who)
		}
		c.post("/note", m{"text": "mine"}).want(http.StatusCreated)
		if got := c.get("/note").want(http.StatusOK).body; !strings.Contains(got, who.ID) {
			t.Errorf("notes: %s", got)
		}
		bearer := decode[struct{ Token string }](b.browser().post("/auth/login", m{"email": "ada@example.com", "password": first, "transport": "bearer"}).want(http.StatusOK))
		if program := b.program(bearer.Token); program.me().ID != who.ID {
			t.Error("the bearer token is another user's")
		}
		c.post("/auth/logout", nil).want(http.StatusNoContent)
		c.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.program(bearer.Token).me()
	})
}

// same is what of an answer may not depend on who has an account.
func same(a answer) string {
	body, _, _ := strings.Cut(a.body, `"request_id"`)
	return body + a.header.Get("Set-Cookie") + a.header.Get("Content-Type")
}

func TestRegisterTellsNobodyWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		b.register("ada@example.com", first)
		known := b.browser().post("/auth/register", m{"email": "ada@example.com", "password": second}).want(http.StatusAccepted)
		if msg := b.mails.next(t, "ada@example.com"); !strings.Contains(msg.Text, "account already") || tokenLine.MatchString(msg.Text) {
			t.Errorf("the owner was told %q", msg.Text)
		}
		unknown := b.browser().post("/auth/register", m{"email": "bob@example.com", "password": second}).want(http.StatusAccepted)
		if same(known) != same(unknown) {
			t.Errorf("%q and %q", known.body, unknown.body)
		}
		b.mails.token(t, "bob@example.com")
		b.login("ada@example.com", first)
		b.browser().post("/auth/login", m{"email": "ada@example.com", "password": second}).problem(http.StatusUnauthorized, "unauthenticated")
		known = b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		unknown = b.browser().post("/auth/forgot", m{"email": "nobody@example.com"}).want(http.StatusAccepted)
		if same(known) != same(unknown) {
			t.Errorf("%q and %q", known.body, unknown.body)
		}
		b.mails.token(t, "ada@example.com")
		b.mails.none(t)
	})
}

// TestRegisteredBefore: whoever registers somebody's address first keeps no way in when its owner confirms it.
func TestRegisteredBefore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{accounts: accounts.Config{Unverified: true}})
		b.browser().post("/auth/register", m{"email": "ada@example.com", "password": second}).want(http.StatusAccepted)
		theirs := b.mails.token(t, "ada@example.com")
		stranger := b.login("ada@example.com", second)
		key := decode[struct{ Key string }](stranger.post("/auth/keys", m{"name": "back door"}).want(http.StatusCreated)).Key
		b.browser().post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		mine := b.mails.token(t, "ada@example.com")
		stranger.me()
		b.browser().post("/auth/verify", m{"token": mine}).want(http.StatusNoContent)
		stranger.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.program(key).get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.browser().post("/auth/login", m{"email": "ada@example.com", "password": second}).problem(http.StatusUnauthorized, "unauthenticated")
		b.browser().post("/auth/verify", m{"token": theirs}).problem(http.StatusUnprocessableEntity, "invalid")
		if !b.login("ada@example.com", first).me().EmailVerified {
			t.Error("not confirmed")
		}
	})
}

func TestUnverifiedSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{accounts: accounts.Config{Unverified: true}})
		b.browser().post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		b.mails.token(t, "ada@example.com")
		c := b.login("ada@example.com", first)
		if c.me().EmailVerified {
			t.Error("confirmed without a mail")
		}
		c.post("/auth/verify/resend", nil).want(http.StatusAccepted)
		c.post("/auth/verify", m{"token": b.mails.token(t, "ada@example.com")}).want(http.StatusNoContent)
		if !c.me().EmailVerified {
			t.Error("not confirmed, or signed out")
		}
		c.post("/auth/verify/resend", nil).want(http.StatusAccepted)
		b.browser().post("/auth/verify/resend", nil).problem(http.StatusUnauthorized, "unauthenticated")
		b.mails.none(t)
	})
}

func TestTokensOfMailsExpire(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.browser()
		c.post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		token := b.mails.token(t, "ada@example.com")
		// A token is good for its own purpose only.
		c.post("/auth/reset", m{"token": token, "password": second}).problem(http.StatusUnprocessableEntity, "invalid")
		c.post("/auth/email/confirm", m{"token": token}).problem(http.StatusUnprocessableEntity, "invalid")
		b.clock.pass(48 * time.Hour)
		c.post("/auth/verify", m{"token": token}).problem(http.StatusUnprocessableEntity, "invalid")
		// Registering again sends another mail.
		c.post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		token = b.mails.token(t, "ada@example.com")
		b.clock.pass(48*time.Hour - time.Second)
		c.post("/auth/verify", m{"token": token}).want(http.StatusNoContent)
		b.login("ada@example.com", first)
		c.post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		token = b.mails.token(t, "ada@example.com")
		b.clock.pass(time.Hour)
		c.post("/auth/reset", m{"token": token, "password": second}).problem(http.StatusUnprocessableEntity, "invalid")
		b.login("ada@example.com", first)
	})
}

func TestAcceptablePasswords(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.SQLite), options{accounts: accounts.Config{AddressFailures: 1000}})
	for _, password := range []string{
		"short", "elevenchars", "password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiopas", "passwordpassword", "!!Princess2024!!",
		"adalovelace@example.com", "AdaLovelace@Example.com", "football1234", "abcabcabcabc", strings.Repeat("ä", 129), "adalovelace12345678901",
	} {
		a := b.browser().post("/auth/register", m{"email": "adalovelace@example.com", "password": password})
		if password == "adalovelace12345678901" { // the last one is fine
			a.want(http.StatusAccepted)
			continue
		}
		a.problem(http.StatusUnprocessableEntity, "invalid")
		if strings.Contains(a.body, password) || !strings.Contains(a.body, "body.password") {
			t.Errorf("%q: %s", password, a.body)
		}
	}
	for i, password := range []string{"pass phrase", "日本語のパスワードです", strings.Repeat("älnrs", 25) + "abc", "  spaces count  ", "😀😀😀😀😁😁😁😁😂😂😂😂"} {
		want := http.StatusAccepted
		if i < 2 {
			want = http.StatusUnprocessableEntity // 11 code points
		}
		b.browser().post("/auth/register", m{"email": "fine@example.com", "password": password}).want(want)
	}
}

func TestHashFollowsItsCost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		b.register("ada@example.com", first)
		db := raw(t, target)
		hash := func() string { return dump(t, db, "SELECT password_hash FROM members")[0] }
		old := hash()
		dearer := start(t, target, options{accounts: accounts.Config{Hash: accounts.Hash{Memory: 128, Iterations: 2}}, clock: b.clock, mails: b.mails})
		dearer.browser().post("/auth/login", m{"email": "ada@example.com", "password": second}).want(http.StatusUnauthorized)
		if hash() != old {
			t.Error("a wrong password was hashed")
		}
		dearer.login("ada@example.com", first)
		if got := hash(); !strings.HasPrefix(got, "$argon2id$v=19$m=128,t=2,p=1$") {
			t.Errorf("the hash is %s", got)
		}
		dearer.login("ada@example.com", first)
	})
}
