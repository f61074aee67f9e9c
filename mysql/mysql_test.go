package mysql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/mysql"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// each runs a test on MariaDB, and on MySQL where a server is at hand.
func each(t *testing.T, test func(t *testing.T, target dbtest.Target)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if slices.Contains([]string{dbtest.MariaDB, dbtest.MySQL}, target.Engine) {
			test(t, target)
		}
	})
}

// server is an opened database of one test.
type server struct {
	*engine.Backend
	*sql.DB
	url string
}

func open(t testing.TB, url string, database mysql.Database) server {
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

func (s server) exec(t testing.TB, query string, args ...any) sql.Result {
	t.Helper()
	result, err := s.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return result
}

func (s server) one(t testing.TB, query string, args ...any) any {
	t.Helper()
	var v any
	if err := s.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func (s server) text(t testing.TB, query string, args ...any) string {
	t.Helper()
	text, ok := engine.TextOf(s.one(t, query, args...))
	if !ok {
		t.Fatalf("%s is no text", query)
	}
	return text
}

// change returns the URL after fn has changed it.
func change(t testing.TB, text string, fn func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	fn(u)
	return u.String()
}

func options(values ...string) func(*url.URL) {
	return func(u *url.URL) {
		query := u.Query()
		for i := 0; i < len(values); i += 2 {
			query.Set(values[i], values[i+1])
		}
		u.RawQuery = query.Encode()
	}
}

// userConnector is a connector as a user would make it, with settings that are not CapeBase's.
func userConnector(t testing.TB, text string) driver.Connector {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	config := gomysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr, config.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	config.ParseTime, config.ClientFoundRows = true, true
	config.Params = map[string]string{"time_zone": "'+09:00'", "sql_mode": "''"}
	connector, err := gomysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	return connector
}

// TestSessions looks at the settings of a session, on a server whose time zone is another, and whatever the URL says.
func TestSessions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		contrary := options("time_zone", "'+09:00'", "sql_mode", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", "loc", "Asia/Tokyo", "parseTime", "false",
			"clientFoundRows", "false", "multiStatements", "true", "interpolateParams", "true", "charset", "latin1", "columnsWithAlias", "true")
		for name, database := range map[string]mysql.Database{
			"URL":          mysql.URL(target.URL),
			"contrary URL": mysql.URL(change(t, target.URL, contrary)),
			"connector":    mysql.Connector(userConnector(t, target.URL)),
			"mariadb URL":  mysql.URL(change(t, target.URL, func(u *url.URL) { u.Scheme = "mariadb" })),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				open(t, target.URL, database).testSession(t)
			})
		}
	})
}

func (s server) testSession(t *testing.T) {
	for name, want := range map[string]string{
		"time_zone": "+00:00", "character_set_client": "utf8mb4", "character_set_connection": "utf8mb4", "character_set_results": "utf8mb4",
	} {
		if got := s.text(t, "SELECT @@SESSION."+name); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
	if mode := s.text(t, "SELECT @@SESSION.sql_mode"); !strings.Contains(mode, "STRICT_TRANS_TABLES") {
		t.Errorf("sql_mode is %s", mode)
	}
	conn, err := s.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := time.Date(2024, 2, 29, 12, 0, 0, 1000, time.UTC)
	for _, statement := range []string{"CREATE TEMPORARY TABLE t (id int, at datetime(6), v int)", "INSERT INTO t VALUES (1, '2024-02-29 12:00:00.000001', 7)"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var read any
	if err := conn.QueryRowContext(t.Context(), "SELECT at FROM t").Scan(&read); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Dialect.Scan(predicate.Time, read); err != nil || !got.Time().Equal(at) {
		t.Errorf("%v is read as %v, %v", read, got, err)
	}
	result, err := conn.ExecContext(t.Context(), "UPDATE t SET v = 7 WHERE id = ?", 1)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := result.RowsAffected(); err != nil || found != 1 {
		t.Errorf("an UPDATE that changes nothing finds %d rows, %v", found, err)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT 1; SELECT 2"); err == nil {
		t.Error("two statements at once are taken")
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		socket := s.text(t, "SELECT @@socket")
		if _, err := os.Stat(socket); err != nil {
			t.Fatal(err)
		}
		// Over a socket the user is one of localhost.
		name := "u" + s.text(t, "SELECT LEFT(MD5(DATABASE()), 12)")
		s.exec(t, "CREATE USER "+name+"@localhost IDENTIFIED BY 'p@:/?#%ä'")
		t.Cleanup(func() {
			if _, err := s.ExecContext(context.WithoutCancel(t.Context()), "DROP USER "+name+"@localhost"); err != nil {
				t.Error(err)
			}
		})
		s.exec(t, "GRANT ALL ON "+s.text(t, "SELECT DATABASE()")+".* TO "+name+"@localhost")
		over := change(t, target.URL, func(u *url.URL) {
			u.User = url.UserPassword(name, "p@:/?#%ä")
			u.Host = ""
			options("socket", socket)(u)
		})
		if user := open(t, over, mysql.URL(over)).text(t, "SELECT CURRENT_USER()"); user != name+"@localhost" {
			t.Errorf("the user is %s", user)
		}
	})
}

// TestErrorsHideThePassword gives URLs with every mistake, and looks for the password in what comes back.
func TestErrorsHideThePassword(t *testing.T) {
	t.Parallel()
	closed := closedAddress(t)
	for url, want := range map[string]string{
		"":                                                   "no URL given",
		"a:s3cret@tcp(localhost)/b":                          "mysql://",
		"postgres://a:s3cret@localhost/b":                    "mysql://",
		"mysql://a:s3cret@localhost":                         "names no database",
		"mysql://a:s3cret@localhost/":                        "names no database",
		"mysql://a:s3cret%zz@localhost/b":                    "percent-encoded",
		"mysql://a:s3cret/@localhost/b":                      "percent-encoded",
		"mysql://a:s3cret@localhost/b?x=%":                   "options are not understood",
		"mysql://a:s3cret@localhost/b?x=;y":                  "options are not understood",
		"mysql://a:s3cret@localhost/b?strict=true":           "strict",
		"mysql://a:s3cret@localhost/b?timeout=soon":          "options are not understood",
		"mysql://a:s3cret@localhost/b?tls=nothing":           "options",
		"mysql://a:s3cret@localhost/b?pool_max_conns=-1":     "pool_max_conns",
		"mysql://a:s3cret@" + closed + "/b":                  "refused",
		"mysql://a:s3cret@/b?socket=%2Fnowhere%2Fmysql.sock": "no such file",
	} {
		_, err := mysql.URL(url).Connect(t.Context())
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

func TestPoolSize(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		if s := open(t, target.URL, mysql.URL(change(t, target.URL, options("pool_max_conns", "3")))); s.Writers != 3 {
			t.Errorf("%d connections", s.Writers)
		}
		if s := open(t, target.URL, mysql.URL(target.URL)); s.Writers < 8 || s.Writers > 64 || s.Reader != nil {
			t.Errorf("%+v", s.Backend)
		}
	})
}

func TestGorm(t *testing.T) {
	t.Parallel()
	type Note struct {
		ID   int64
		Text string
		At   time.Time
	}
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		g, err := gorm.Open(s.Gorm(s.DB), &gorm.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s.exec(t, "CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, text text, at datetime(6))")
		at := time.Date(2024, 2, 29, 12, 0, 0, 1000, time.UTC)
		if err := g.Create(&Note{Text: "a", At: at}).Error; err != nil {
			t.Fatal(err)
		}
		var note Note
		if err := g.First(&note).Error; err != nil || note.ID != 1 || !note.At.Equal(at) {
			t.Errorf("%+v: %v", note, err)
		}
		if name := g.Name(); name != mysql.URL("").Name() {
			t.Errorf("GORM calls it %q", name)
		}
	})
}

func TestForeignTriggersAndDefaults(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		table := &engine.Table{Name: "od`d"}
		name := s.Dialect.Quote(table.Name)
		s.exec(t, "CREATE TABLE "+name+" (id bigint AUTO_INCREMENT PRIMARY KEY, a int DEFAULT 7)")
		s.exec(t, "INSERT INTO "+name+s.Dialect.DefaultValues())
		if v := s.one(t, "SELECT a FROM "+name+" WHERE id = ?", 1); v != int64(7) {
			t.Errorf("the default is %v", v)
		}
		query, args := s.Dialect.ForeignTriggers(table)
		all, _ := s.Dialect.ForeignTriggers(nil)
		for _, c := range []struct {
			trigger string
			found   int64
		}{{"cape_insert", 0}, {"capeless", 1}, {"other", 2}} {
			s.exec(t, fmt.Sprintf("CREATE TRIGGER %s AFTER INSERT ON %s FOR EACH ROW SET @x = 1", c.trigger, name))
			if found := s.one(t, "SELECT count(*) FROM ("+query+") q", args[0].Value); found != c.found {
				t.Errorf("after %s: %v triggers, want %d", c.trigger, found, c.found)
			}
			if found := s.one(t, "SELECT count(*) FROM ("+all+") q"); found != c.found {
				t.Errorf("after %s: %v triggers in all, want %d", c.trigger, found, c.found)
			}
		}
	})
}

// TestValuesOfOtherPrograms reads what CapeBase would never write, by both of the server's protocols.
func TestValuesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, target dbtest.Target) {
		s := open(t, target.URL, mysql.URL(target.URL))
		s.exec(t, `CREATE TABLE t (id int, i8 tinyint, u64 bigint unsigned, f float, d decimal(10,4), b bit(1), s varchar(9) CHARACTER SET latin1,
			y year, e enum('x', 'y'), j json, at timestamp(3) NULL, day date, x varbinary(9))`)
		s.exec(t, `INSERT INTO t VALUES (1, -7, 9223372036854775807, 0.5, 1.5, b'1', 'é', 2024, 'y', '{"b": 1.50, "a": 1}', '2024-02-29 12:00:00.123', '2024-02-29', x'FF00')`)
		for _, c := range []struct {
			column string
			kind   predicate.Kind
			want   string
		}{
			{"i8", predicate.Int, "-7"}, {"u64", predicate.Int, "9223372036854775807"}, {"f", predicate.Float, "0.5"}, {"d", predicate.Decimal, "1.5"},
			{"b", predicate.Bool, "true"}, {"s", predicate.Text, "é"}, {"y", predicate.Int, "2024"}, {"e", predicate.Text, "y"},
			{"j", predicate.JSON, `{"a":1,"b":1.5}`}, {"at", predicate.Time, "2024-02-29T12:00:00.123Z"}, {"day", predicate.Time, "2024-02-29T00:00:00Z"},
			{"x", predicate.Bytes, "/wA="}, {"d", predicate.Float, "1.5"}, {"i8", predicate.Float, "-7"},
		} {
			for protocol, read := range map[string]any{
				"text": s.one(t, "SELECT "+c.column+" FROM t"), "binary": s.one(t, "SELECT "+c.column+" FROM t WHERE id = ?", 1),
			} {
				if got, err := s.Dialect.Scan(c.kind, read); err != nil || got.String() != c.want {
					t.Errorf("%s by the %s protocol: %s, %v, want %s (the driver gave %T)", c.column, protocol, got, err, c.want, read)
				}
			}
		}
		s.exec(t, "UPDATE t SET u64 = 18446744073709551615")
		for _, read := range []any{s.one(t, "SELECT u64 FROM t"), s.one(t, "SELECT u64 FROM t WHERE id = ?", 1)} {
			if got, err := s.Dialect.Scan(predicate.Int, read); err == nil {
				t.Errorf("2^64-1 is read as %s", got)
			}
		}
	})
}
