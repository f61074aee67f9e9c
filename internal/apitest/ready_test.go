package apitest

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

func publishParcels(c *capebase.Cape) {
	c.Metrics()
	parcels := capebase.Publish[parcel](c)
	parcels.Allow(policy.All, policy.Anyone())
}

// until asks /readyz until the answer is as wanted.
func (a *app) until(what string, wanted func(answer) bool) answer {
	a.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := a.as("").get("/readyz")
		if wanted(got) {
			return got
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("/readyz does not say %s: %d %s", what, got.Status, got.Body)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestReadyTellsOfTheDatabase: while it is away, the database and then the tailer are named, and nothing is told that
// only the operator should know.
func TestReadyTellsOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{dbtest.Postgres, dbtest.MariaDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			server := dbtest.NewServer(t, engine, dbtest.ServerConfig{})
			target := server.New(t)
			log := &lockedBuffer{}
			config := capebase.Config{Logger: slog.New(slog.NewTextHandler(log, nil)), Limits: capebase.Limits{WriteWait: time.Second}}
			a := startWith(t, target, config, publishParcels)
			var states map[string]string
			a.as("").get("/readyz").want(http.StatusOK).decode(&states)
			want := map[string]string{"status": "ready", "database": "ok", "journal": "ok", "tailer": "ok"}
			for part, state := range want {
				if states[part] != state {
					t.Errorf("%s is %q, want %q", part, states[part], state)
				}
			}
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			names := func(part string) func(answer) bool {
				return func(got answer) bool {
					var e capebase.Error
					if got.Status != http.StatusServiceUnavailable || json.Unmarshal([]byte(got.Body), &e) != nil {
						return false
					}
					for _, f := range e.Errors {
						if f.Location == part {
							return true
						}
					}
					return false
				}
			}
			a.until("that the database is down", names("database")).problem(http.StatusServiceUnavailable, "unavailable", "database")
			got := a.until("that the tailer fails", names("tailer"))
			address, err := url.Parse(target.URL)
			if err != nil {
				t.Fatal(err)
			}
			password, _ := address.User.Password()
			for _, secret := range []string{address.Port(), address.Hostname(), address.User.Username(), password, "dial", address.Path} {
				if secret != "" && strings.Contains(got.Body, secret) {
					t.Errorf("the answer has %q: %s", secret, got.Body)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := server.Start(ctx); err != nil {
				t.Fatal(err)
			}
			a.until("that all is well again", func(got answer) bool { return got.Status == http.StatusOK })
			for _, line := range []string{"readiness: database cannot be reached", "readiness: tailer cannot read the journal", "readiness: database is well again"} {
				if count := strings.Count(log.text(), line); count == 0 || count > 5 {
					t.Errorf("%q was logged %d times", line, count)
				}
			}
		})
	}
}

// TestReadyTellsOfTheJournal: a program that may not reinstall triggers goes on serving, and says what is wrong.
func TestReadyTellsOfTheJournal(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.SQLite)
	if err := start(t, target, publishParcels).Close(); err != nil {
		t.Fatal(err)
	}
	a := startWith(t, target, capebase.Config{Migrate: capebase.MigrateNone, Logger: slog.New(slog.DiscardHandler)}, publishParcels)
	dropTriggers(t, strings.TrimPrefix(target.URL, "sqlite:"))
	a.until("that changes are lost", func(got answer) bool {
		return got.Status == http.StatusOK && strings.Contains(got.Body, `"journal":"does not record all changes"`)
	})
}

// dropTriggers drops all of a database, as a careless migration does.
func dropTriggers(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	rows, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Close(); err != nil || rows.Err() != nil || len(names) == 0 {
		t.Fatal(err, rows.Err(), len(names))
	}
	for _, name := range names {
		if _, err := db.ExecContext(t.Context(), `DROP TRIGGER "`+name+`"`); err != nil {
			t.Fatal(err)
		}
	}
}
