package migrate

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// role makes a user who may read and write rows, and returns the database's URL for it. Without grant it may nothing.
func (b *bed) role(target dbtest.Target, grants ...string) string {
	b.Helper()
	name := "cape_" + strings.ToLower(rand.Text()[:12])
	drop := "DROP ROLE " + name
	if b.engine == dbtest.Postgres {
		b.exec("CREATE ROLE "+name+" LOGIN PASSWORD 'secret'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
		drop = "DROP OWNED BY " + name + "; " + drop
	} else {
		b.exec("CREATE USER " + name + " IDENTIFIED BY 'secret'")
		drop = "DROP USER " + name
	}
	for _, grant := range grants {
		b.exec(strings.ReplaceAll(grant, "ROLE", name))
	}
	b.Cleanup(func() {
		// The test's own context has ended by now.
		ctx := context.WithoutCancel(b.Context())
		if _, err := b.db.SQL().ExecContext(ctx, drop); err != nil {
			b.Errorf("%s: %v", drop, err)
		}
	})
	parsed, err := url.Parse(target.URL)
	if err != nil {
		b.Fatal(err)
	}
	parsed.User = url.UserPassword(name, "secret")
	return parsed.String()
}

// TestWithoutRights runs as a role that cannot change tables, in each mode.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	grants := map[string][]string{
		dbtest.Postgres: {
			"GRANT USAGE ON SCHEMA cape TO ROLE", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, cape TO ROLE",
			"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ROLE",
		},
		dbtest.MariaDB: {"GRANT SELECT, INSERT, UPDATE, DELETE ON * TO ROLE"},
		dbtest.MySQL:   {"GRANT SELECT, INSERT, UPDATE, DELETE ON * TO ROLE"},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return // it has no roles; TestReadOnlyFile stands for it
		}
		admin := open(t, target)
		all := admin.models(Item{}, Owner{}, Everything{})
		admin.run(All, all)
		b := open(t, dbtest.Target{Engine: target.Engine, URL: admin.role(target, grants[target.Engine]...)})
		for _, mode := range []Mode{None, Own, All} {
			b.run(mode, b.models(Item{}, Owner{}, Everything{}))
		}
		if err := b.gorm.WithContext(t.Context()).Create(&Owner{ID: "o"}).Error; err != nil {
			t.Error(err)
		}
		more := b.models(Item{}, Owner{}, Everything{}, textRow{})
		err := Run(t.Context(), b.db, b.gorm, more, None, b.logger())
		if err == nil || !strings.Contains(err.Error(), "text_rows") || strings.Contains(err.Error(), "owners") {
			t.Errorf("mode None: %v, want an error with the SQL that is missing", err)
		}
		err = Run(t.Context(), b.db, b.gorm, more, All, b.logger())
		if err == nil || !strings.Contains(err.Error(), "CREATE TABLE") || !strings.Contains(err.Error(), "denied") {
			t.Errorf("mode All: %v, want that CREATE TABLE was denied", err)
		}
	})
}

// TestUnreadable tells a table that may not be read from one that is not there.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	grants := map[string][]string{
		dbtest.Postgres: {"GRANT SELECT ON owners TO ROLE"},
		dbtest.MariaDB:  {"GRANT SELECT ON owners TO ROLE", "GRANT INSERT ON items TO ROLE", "GRANT SELECT ON cape_meta TO ROLE"},
		dbtest.MySQL:    {"GRANT SELECT ON owners TO ROLE", "GRANT INSERT ON items TO ROLE", "GRANT SELECT ON cape_meta TO ROLE"},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return // it has no rights
		}
		admin := open(t, target)
		all := admin.models(Item{}, Owner{})
		admin.run(All, all)
		b := open(t, dbtest.Target{Engine: target.Engine, URL: admin.role(target, grants[target.Engine]...)})
		if b.engine == dbtest.Postgres {
			b.fails(all, "cape.meta exists, but this user may not read it", "GRANT USAGE ON SCHEMA")
			admin.exec("GRANT USAGE ON SCHEMA cape TO PUBLIC", "GRANT SELECT ON cape.meta TO PUBLIC")
		}
		b.fails(all, "items exists, but this user may not read it", "GRANT SELECT")
	})
}

// TestHiddenSchema has the table in a schema that the role may not look into.
func TestHiddenSchema(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	admin := open(t, withSearchPath(target, "public"))
	all := admin.models(Item{}, Owner{})
	admin.run(All, all)
	b := open(t, dbtest.Target{Engine: target.Engine, URL: admin.role(target, "GRANT USAGE ON SCHEMA cape TO ROLE", "GRANT SELECT ON cape.meta TO ROLE",
		"REVOKE USAGE ON SCHEMA public FROM PUBLIC")})
	b.fails(all, "items exists, but this user may not read it", "owners exists, but")
}
