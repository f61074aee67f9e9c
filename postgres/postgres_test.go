package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/postgres"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// server is an opened database of one test.
type server struct {
	*engine.Backend
	*sql.DB
	url string
}

func open(t testing.TB, url string, database postgres.Database) server {
	t.Helper()
	backend, err := database.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(backend.Writer)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	return server{backend, db, url}
}

func fresh(t testing.TB) server {
	t.Helper()
	target := dbtest.New(t, dbtest.Postgres)
	return open(t, target.URL, postgres.URL(target.URL))
}

func (s server) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := s.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (s server) one(t testing.TB, query string, args ...any) any {
	t.Helper()
	var v any
	if err := s.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// with returns the URL with an option.
func with(t testing.TB, text, option, value string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(option, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// TestErrorsHideThePassword gives URLs with every mistake, and looks for the password in what comes back.
func TestErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	closed := closedAddress(t)
	for url, want := range map[string]string{
		"":                                                               "no URL given",
		"user=a password=s3cret host=localhost":                          "postgres://",
		"mysql://a:s3cret@localhost/b":                                   "postgres://",
		"postgres://a:s3cret%zz@localhost/b":                             "percent-encoded",
		"postgres://a:s3cret/@localhost/b":                               "percent-encoded",
		"postgres://a:s3cret`: s3cret@[/b":                               "percent-encoded",
		"postgres://a:s3cret@localhost:99999/b":                          "the port is no port",
		"postgres://a:s3cret@localhost/b?sslmode=s3cret":                 "sslmode",
		"postgres://a:s3cret@localhost/b?connect_timeout=s3cret":         "connect_timeout",
		"postgres://a:s3cret@localhost/b?target_session_attrs=any1":      "target_session_attrs",
		"postgres://a:s3cret@localhost/b?default_query_exec_mode=s3cret": "default_query_exec_mode",
		"postgres://a:s3cret@localhost/b?min_protocol_version=s3cret":    "an option has a wrong value",
		"postgres://a:s3cret@localhost/b?pool_max_conns=0":               "pool_max_conns",
		"postgres://a:s3cret@localhost/b?pool_max_conns=many":            "pool_max_conns",
		"postgres://a:s3cret@" + closed + "/b":                           "refused",
	} {
		_, err := postgres.URL(url).Connect(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// closedAddress returns an address on which nothing listens.
func closedAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "s3cret")
	_, err = postgres.URL(u.String()).Connect(t.Context())
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	s := open(t, target.URL, postgres.URL(target.URL))
	if class := s.Dialect.Classify(err).Class; class != engine.Down {
		t.Errorf("class %d of %v", class, err)
	}
}

func TestEncodingIsRefused(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	name := strings.TrimPrefix(s.path(t), "/") + "_ascii"
	s.exec(t, "CREATE DATABASE "+name+" ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER 'libc' TEMPLATE template0")
	t.Cleanup(func() {
		if _, err := s.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	_, err := postgres.URL(strings.Replace(s.url, s.path(t), "/"+name, 1)).Connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "SQL_ASCII") {
		t.Errorf("%v", err)
	}
}

func (s server) path(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// TestSessions looks at the settings of a session, on a server whose time zone is another. The user's connector must
// come to the same.
func TestSessions(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	config, err := pgx.ParseConfig(with(t, target.URL, "timezone", "Asia/Tokyo"))
	if err != nil {
		t.Fatal(err)
	}
	for name, database := range map[string]postgres.Database{
		"URL":           postgres.URL(target.URL),
		"URL and zone":  postgres.URL(with(t, target.URL, "timezone", "Asia/Tokyo")),
		"no cache":      postgres.URL(with(t, target.URL, "default_query_exec_mode", "exec")),
		"simple":        postgres.URL(with(t, target.URL, "default_query_exec_mode", "simple_protocol")),
		"connector":     postgres.Connector(stdlib.GetConnector(*config)),
		"several hosts": postgres.URL(severalHosts(t, target.URL)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, target.URL, database)
			for setting, want := range map[string]string{"timezone": "UTC", "client_encoding": "UTF8", "standard_conforming_strings": "on"} {
				if got := s.one(t, "SELECT current_setting($1::text)", setting); got != want {
					t.Errorf("%s is %v", setting, got)
				}
			}
			at := time.Date(2024, 2, 29, 12, 0, 0, 1000, time.UTC)
			for _, column := range []string{"timestamptz", "timestamp"} {
				read := s.one(t, "SELECT $1::"+column, at)
				got, err := s.Dialect.Scan(predicate.Time, read)
				if err != nil || !got.Time().Equal(at) {
					t.Errorf("%s: %v is read as %v, %v", column, at, got, err)
				}
			}
		})
	}
}

func severalHosts(t testing.TB, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = closedAddress(t) + "," + u.Host
	return u.String()
}

func TestTimesComeBackInUTC(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	if at, ok := s.one(t, "SELECT now()").(time.Time); !ok || at.Location() != time.UTC {
		t.Errorf("now() is %v", at)
	}
}

func TestInfiniteTimes(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for text, want := range map[string]string{
		"infinity": "9999-12-31T23:59:59.999999Z", "-infinity": "0001-01-01T00:00:00Z",
	} {
		for _, column := range []string{"timestamptz", "timestamp", "date"} {
			read := s.one(t, "SELECT '"+text+"'::"+column)
			if got, err := s.Dialect.Scan(predicate.Time, read); err != nil || got.String() != want {
				t.Errorf("%s as %s: %s, %v", text, column, got, err)
			}
		}
	}
}

// TestNumbersOfOtherPrograms reads what CapeBase would never write.
func TestNumbersOfOtherPrograms(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	for _, c := range []struct {
		expression string
		kind       predicate.Kind
		want       string
	}{
		{"'NaN'::numeric", predicate.Decimal, "NaN"}, {"1.50::numeric", predicate.Decimal, "1.5"}, {"'1e400'::numeric", predicate.Decimal, "1" + strings.Repeat("0", 400)},
		{"'NaN'::float8", predicate.Float, "NaN"}, {"'-Infinity'::float8", predicate.Float, "-Inf"}, {"'-0'::float8", predicate.Float, "0"},
		{"0.1::real", predicate.Float, "0.10000000149011612"}, {"7::int2", predicate.Int, "7"}, {"7::numeric", predicate.Int, "7"}, {"7::numeric", predicate.Float, "7"},
		{"'é'::varchar", predicate.Text, "é"}, {`'{"b": 1.0, "a": [1e2]}'::jsonb`, predicate.JSON, `{"a":[100],"b":1}`}, {"'[1.50]'::json", predicate.JSON, "[1.5]"},
		{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", predicate.UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{`'\xff00'::bytea`, predicate.Bytes, "/wA="}, {"true", predicate.Bool, "true"},
	} {
		read := s.one(t, "SELECT "+c.expression)
		if got, err := s.Dialect.Scan(c.kind, read); err != nil || got.String() != c.want {
			t.Errorf("%s: %s, %v, want %s (the driver gave %T)", c.expression, got, err, c.want, read)
		}
	}
}

func TestPoolSize(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	if s := open(t, target.URL, postgres.URL(with(t, target.URL, "pool_max_conns", "3"))); s.Writers != 3 {
		t.Errorf("%d connections", s.Writers)
	}
	if s := open(t, target.URL, postgres.URL(target.URL)); s.Writers < 8 || s.Writers > 64 || !s.CachesStatements || s.Reader != nil {
		t.Errorf("%+v", s.Backend)
	}
}

func TestGorm(t *testing.T) {
	t.Parallel()
	type Note struct {
		ID   int64
		Text string
		At   time.Time
	}
	s := fresh(t)
	g, err := gorm.Open(s.Gorm(s.DB), &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.exec(t, "CREATE TABLE notes (id bigserial PRIMARY KEY, text text, at timestamptz)")
	note := Note{Text: "a", At: time.Unix(0, 0)}
	if err := g.Create(&note).Error; err != nil || note.ID != 1 {
		t.Errorf("%+v: %v", note, err)
	}
	if name := g.Name(); name != postgres.URL("").Name() {
		t.Errorf("GORM calls it %q", name)
	}
}

func TestForeignTriggersAndDefaults(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	s.exec(t, `CREATE SCHEMA "my app"`)
	for i, table := range []*engine.Table{{Name: `Od"d`}, {Schema: "my app", Name: "t"}} {
		name := engine.NewBuilder(s.Dialect)
		name.Table(table)
		s.exec(t, fmt.Sprintf("CREATE TABLE %s (id bigserial PRIMARY KEY, p bigint REFERENCES %[1]s, a int DEFAULT 7)", name))
		s.exec(t, "INSERT INTO "+name.String()+s.Dialect.DefaultValues())
		if v := s.one(t, "SELECT a FROM "+name.String()); v != int64(7) {
			t.Errorf("the default is %v", v)
		}
		s.exec(t, "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
		query, args := s.Dialect.ForeignTriggers(table)
		all, _ := s.Dialect.ForeignTriggers(nil)
		for _, c := range []struct {
			trigger string
			found   int64
		}{{"!capebase", 0}, {"capeless", 1}, {"other", 2}} {
			s.exec(t, fmt.Sprintf(`CREATE TRIGGER "%s" AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION nothing()`, c.trigger, name))
			if found := s.one(t, "SELECT count(*) FROM ("+query+") q", args[0].Value); found != c.found {
				t.Errorf("after %s on %s: %v triggers, want %d", c.trigger, name, found, c.found)
			}
			if found := s.one(t, "SELECT count(*) FROM ("+all+") q"); found != c.found+int64(2*i) {
				t.Errorf("after %s on %s: %v triggers in all, want %d", c.trigger, name, found, c.found+int64(2*i))
			}
		}
	}
}
