package migrate

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

func TestMain(m *testing.M) {
	if code, child := runChild(); child {
		os.Exit(code)
	}
	dbtest.Main(m)
}

// bed is an opened database.
type bed struct {
	*testing.T
	engine string
	url    string
	db     *sqldriver.DB
	gorm   *gorm.DB
	log    *bytes.Buffer
}

func engineOf(url string) engine.Engine {
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return sqlite.File(rest)
	case "postgres":
		return postgres.URL(url)
	default:
		return mysql.URL(url)
	}
}

func open(t *testing.T, target dbtest.Target) *bed {
	t.Helper()
	b := openEngine(t, target.Engine, engineOf(target.URL), gorm.Config{})
	b.url = target.URL
	return b
}

// withSearchPath names the schemas that PostgreSQL looks through; the others have none.
func withSearchPath(target dbtest.Target, path string) dbtest.Target {
	if target.Engine == dbtest.Postgres {
		separator := "?"
		if strings.Contains(target.URL, "?") {
			separator = "&"
		}
		target.URL += separator + "search_path=" + path
	}
	return target
}

func openEngine(t *testing.T, name string, e engine.Engine, config gorm.Config) *bed {
	t.Helper()
	db, g, err := connect(t.Context(), e, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bed{T: t, engine: name, db: db, gorm: g, log: &bytes.Buffer{}}
}

func connect(ctx context.Context, e engine.Engine, config gorm.Config) (*sqldriver.DB, *gorm.DB, error) {
	backend, err := e.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	db, err := sqldriver.Open(backend, sqldriver.Options{})
	if err != nil {
		return nil, nil, err
	}
	config.Logger = logger.Discard
	config.DisableAutomaticPing = true
	g, err := gorm.Open(backend.Gorm(db.SQL()), &config)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, g, nil
}

// models parses structs as one program does.
func models(g *gorm.DB, structs ...any) ([]*model.Model, error) {
	cache := &sync.Map{}
	var all []*model.Model
	for _, s := range structs {
		m, err := model.Parse(reflect.TypeOf(s), g.NamingStrategy, cache)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *bed) models(structs ...any) []*model.Model {
	b.Helper()
	all, err := models(b.gorm, structs...)
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func (b *bed) logger() *slog.Logger {
	if b.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(b.log, nil))
}

func (b *bed) run(mode Mode, all []*model.Model) {
	b.Helper()
	if err := Run(b.Context(), b.db, b.gorm, all, mode, b.logger()); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) make(mode Mode, all []*model.Model) *Plan {
	b.Helper()
	plan, err := Make(b.Context(), b.db, b.gorm, all, mode)
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// fails makes a plan that must fail with an error that has all of the texts in it.
func (b *bed) fails(all []*model.Model, texts ...string) {
	b.Helper()
	_, err := Make(b.Context(), b.db, b.gorm, all, All)
	if err == nil {
		b.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			b.Errorf("the error does not say %q:\n%v", text, err)
		}
	}
}

func (b *bed) exec(statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := b.db.SQL().ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}

func (b *bed) count(query string) int {
	b.Helper()
	var n int
	if err := b.db.SQL().QueryRowContext(b.Context(), query).Scan(&n); err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	return n
}

// noted returns what the planner noted on a column.
func noted(m *model.Model, name string) engine.Column {
	for _, c := range m.Table.Columns {
		if c.Name == name {
			return c
		}
	}
	return engine.Column{}
}

// steps joins the statements of a plan.
func steps(p *Plan) string {
	var b strings.Builder
	for _, step := range p.Steps {
		b.WriteString(step.SQL + ";\n")
	}
	return b.String()
}

// Everything has a column of each kind, with all that can be said of one.
type Everything struct {
	ID        int64
	Flag      bool
	On        bool  `gorm:"default:true"`
	Small     int16 `gorm:"index:idx_numbers,priority:2"`
	Number    int64 `gorm:"default:7;index:idx_numbers,priority:1,sort:desc"`
	Unsigned  uint32
	Single    float32
	Double    float64   `gorm:"default:1.5"`
	Price     string    `gorm:"type:decimal(12,2);default:0.5"`
	Text      string    `gorm:"default:it's"`
	Short     string    `gorm:"size:20;uniqueIndex"`
	Email     string    `gorm:"unique;check:email <> ''"`
	Backslash string    `gorm:"size:40;default:a\\b"`
	Token     uuid.UUID `gorm:"type:uuid;index:,where:flag = true"`
	Data      []byte    `gorm:"size:100"`
	Picture   []byte
	At        time.Time       `gorm:"default:now()"`
	Since     time.Time       `gorm:"default:2020-01-02"`
	Document  json.RawMessage `gorm:"type:json"`
	Tags      []string        `gorm:"serializer:json"`
	MaybeText *string
	MaybeInt  sql.NullInt64
	Order     string      `gorm:"column:order;type:varchar(30);index:,length:10"`
	Case      string      `gorm:"column:CamelCase;size:30"`
	ParentID  *int64      `gorm:"index"`
	Parent    *Everything `json:"-" gorm:"constraint:OnDelete:SET NULL,OnUpdate:CASCADE"`
	Times
}

// Times are those of gorm.Model.
type Times struct {
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

// Owner and Item are two tables of which one refers to the other.
type Owner struct {
	ID    string `gorm:"size:40"`
	Name  string
	Items []Item `json:"-"`
}

// Item belongs to an Owner.
type Item struct {
	ID      int64
	OwnerID string
	Owner   *Owner `json:"-" gorm:"constraint:OnDelete:CASCADE"`
	Title   string
}

// emptyMySQL is a MySQL server that says it has nothing, since none can be had where this was written.
type emptyMySQL struct{ version string }

func (e emptyMySQL) Connect(context.Context) (driver.Conn, error) { return emptyConn(e), nil }
func (e emptyMySQL) Driver() driver.Driver                        { return nil }

type emptyConn struct{ version string }

func (c emptyConn) Prepare(query string) (driver.Stmt, error) {
	return emptyStatement{query, c.version}, nil
}
func (c emptyConn) Close() error              { return nil }
func (c emptyConn) Begin() (driver.Tx, error) { return nil, errors.New("nothing to begin") }

type emptyStatement struct{ query, version string }

func (s emptyStatement) Close() error  { return nil }
func (s emptyStatement) NumInput() int { return -1 }
func (s emptyStatement) Exec([]driver.Value) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}
func (s emptyStatement) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}
func (s emptyStatement) Query([]driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), nil)
}
func (s emptyStatement) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	if asked, ok := strings.CutPrefix(s.query, "SELECT VERSION()"); ok {
		// Whatever setting is asked for beside the version is a large number.
		row := []string{s.version}
		for range strings.Count(asked, ",") {
			row = append(row, "67108864")
		}
		return &oneRow{columns: row}, nil
	}
	return &oneRow{columns: []string{""}, done: true}, nil
}

type oneRow struct {
	columns []string
	done    bool
}

func (r *oneRow) Columns() []string { return r.columns }
func (r *oneRow) Close() error      { return nil }
func (r *oneRow) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	for i, text := range r.columns {
		dest[i] = text
	}
	return nil
}

// readBack compares columns of the table's only row with values, as the rest of CapeBase reads them.
func (b *bed) readBack(t engine.Table, want map[string]predicate.Value) {
	b.Helper()
	d := b.db.Dialect()
	for _, c := range t.Columns {
		value, ok := want[c.Name]
		if !ok {
			continue
		}
		q := engine.NewBuilder(d)
		q.Write("SELECT ", d.Quote(c.Name), " FROM ")
		q.Table(&t)
		err := b.db.View(b.Context(), func(ctx context.Context, conn *sqldriver.Conn) error {
			rows, err := conn.Query(ctx, q.String(), nil)
			if err != nil {
				return err
			}
			cells := make([]driver.Value, 1)
			if err := errors.Join(rows.Next(cells), rows.Close()); err != nil {
				return err
			}
			got, err := d.Scan(c.Kind, cells[0])
			if order, ok := predicate.Compare(got, value); err == nil && (!ok || order != 0) && got != value {
				b.Errorf("column %s is %v, want %v", c.Name, got, value)
			}
			return err
		})
		if err != nil {
			b.Errorf("column %s: %v", c.Name, err)
		}
	}
}

func document(text string) predicate.Value {
	v, _ := predicate.JSONValue([]byte(text))
	return v
}

func uuidValue(text string) predicate.Value {
	v, _ := predicate.UUIDValue(text)
	return v
}
