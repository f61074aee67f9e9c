package accounts_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
)

// recorded are the events of a kind in the audit trail, once there are n.
func (b *bed) recorded(kind string, n int) []capebase.AuditEntry {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		var found []capebase.AuditEntry
		for e, err := range b.cape.Audit(auth.Privileged(b.t.Context(), "a test"), capebase.AuditQuery{Event: kind, Ascending: true}) {
			if err != nil {
				b.t.Fatal(err)
			}
			found = append(found, e)
		}
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%d events %s, want %d", len(found), kind, n)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// TestAudit: sign-ins, failures and what changes an account are in the audit trail, and nothing that was typed.
func TestAudit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		me := c.me()
		for _, body := range []m{
			{"email": "ada@example.com", "password": "wrong password"}, {"email": "ada@example.com", "password": "wrong password too"},
			{"email": "nobody@example.com", "password": first}, {"email": "secret-in-the-wrong-field@example.com", "password": first},
		} {
			b.browser().post("/auth/login", body).problem(http.StatusUnauthorized, "unauthenticated")
		}
		other := b.login("ada@example.com", first)
		c.post("/auth/sessions/revoke-others", nil).want(http.StatusNoContent)
		other.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/password", m{"current": first, "password": second}).want(http.StatusNoContent)
		c.post("/auth/email", m{"email": "new@example.com", "password": second}).want(http.StatusAccepted)
		b.mails.next(t, "ada@example.com")
		b.browser().post("/auth/email/confirm", m{"token": b.mails.token(t, "new@example.com")}).want(http.StatusNoContent)
		c.post("/auth/logout", nil).want(http.StatusNoContent)

		signedIn := b.recorded("sign-in", 2)
		if e := signedIn[0]; e.Key != me.ID || e.Actor.ID != e.Key || e.Actor.Session == "" || e.Actor.Session != e.Detail["session"] || e.Resource != "auth.users" || e.Actor.Address == "" {
			t.Errorf("%+v", e)
		}
		for _, kind := range []string{"sessions-revoked", "password-changed", "email-changed", "sign-out"} {
			if e := b.recorded(kind, 1)[0]; e.Key != me.ID || e.Raw {
				t.Errorf("%+v", e)
			}
		}
		failures := b.recorded("sign-in-failed", 2)
		counts := map[string]int64{}
		for _, e := range failures {
			counts[e.Key] += max(1, e.Count)
			if e.Actor.ID != "" || e.Actor.Address == "" || e.Detail["reason"] != "credentials" {
				t.Errorf("%+v", e)
			}
		}
		if counts[me.ID] > 2 || counts[""] > 2 || counts[""] == 0 || counts[me.ID] == 0 {
			t.Errorf("%v", counts)
		}
		for e, err := range b.cape.Audit(auth.Privileged(t.Context(), "a test"), capebase.AuditQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, typed := range []string{"wrong password", first, second, "nobody@", "wrong-field", "token_hash\":"} {
				if strings.Contains(string(text), typed) {
					t.Errorf("the trail has %q: %s", typed, text)
				}
			}
			if e.Table == "" && e.Resource == "auth.users" && e.Event == "UPDATE" && slices.Equal(e.Changed, []string{"password_hash"}) && string(e.Before) != string(e.After) {
				t.Errorf("%s", text)
			}
		}
	})
}
