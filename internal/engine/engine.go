// Package engine says what a database is to CapeBase: how to reach it, what a table is, and how SQL is written for it.
// Packages sqlite, postgres and mysql implement it.
package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/predicate"
)

// Engine is a database that can be opened.
type Engine interface {
	// Name is the engine's name: "sqlite", "postgres" or "mysql".
	Name() string
	// Connect checks the settings and prepares to connect; it creates nothing in the database.
	Connect(ctx context.Context) (*Backend, error)
}

// Backend is an opened database, before CapeBase's own driver wraps it.
type Backend struct {
	Dialect Dialect
	// Writer opens connections that may write; Reader those that may not. Reader is nil where one kind serves both.
	Writer, Reader driver.Connector
	// Writers and Readers bound the connections of each kind. One writer beside readers is a lock that all writes of the
	// process queue for.
	Writers, Readers int
	// BeginRead and BeginWrite begin a transaction, and COMMIT and ROLLBACK end it, where that is cheaper than the driver's
	// BeginTx, whatever isolation was asked for. Where they are empty, BeginTx is used.
	BeginRead, BeginWrite string
	// Embedded is set where the database runs in this process (SQLite): a connection may have several results open, and to
	// prepare a statement costs no round trip.
	Embedded bool
	// Refresh is a query that makes a connection notice, within a transaction, that another has changed the schema. It is
	// run where a statement with a * is about to be prepared: that would otherwise get the columns of the old schema.
	// Where it is empty there is no need.
	Refresh string
	// CachesStatements is set where the driver's connections prepare and cache what their QueryContext and ExecContext are
	// given, so that to prepare before would cost a round trip more.
	CachesStatements bool
	// Statements bounds the prepared statements that are kept for each connection; 0 is 256.
	Statements int
	// Wait waits for the next notification of a channel that the connection listens to, and returns its payload. It leaves
	// the connection usable when the context ends. It is nil where the database has no such thing, and its error is
	// errors.ErrUnsupported where the connection is not the engine's own.
	Wait func(ctx context.Context, c driver.Conn) (payload string, err error)
	// Query is the driver's QueryContext for rows that the Dialect's RowReader reads. It returns driver.ErrSkip where the
	// connection is not the engine's own. Where it is nil, the driver's serves.
	Query func(ctx context.Context, c driver.Conn, query string, args []driver.NamedValue) (driver.Rows, error)
	// Alive tells whether a connection that was idle is certain to be open still. Where it is nil, the driver looks by itself
	// before it reuses one.
	Alive func(c driver.Conn) bool
	// Gorm makes GORM's dialector over the wrapped pool.
	Gorm func(*sql.DB) gorm.Dialector
	// Close removes what Connect made, after all connections are closed.
	Close func() error
}

// Table is a published table.
type Table struct {
	Schema  string // PostgreSQL's; "" is the search path's first
	Name    string
	Columns []Column
	Key     []int // columns of the primary key, in its order
}

// Column is a column of a published table.
type Column struct {
	Name     string
	Kind     predicate.Kind
	Nullable bool
	// Foreign is set by the planner for a text column whose own collation is not CapeBase's: comparisons must name one.
	Foreign bool
	// Charset is the character set of a Foreign column on MySQL, where it is known: an index serves comparisons with texts
	// that it has, and without it those in ASCII.
	Charset string
}

// Dialect writes one database's SQL. Its methods do no I/O.
type Dialect interface {
	// Name is the engine's name.
	Name() string
	// Quote quotes an identifier.
	Quote(identifier string) string
	// Placeholder is the nth argument of a statement, from 1.
	Placeholder(n int) string
	// Bind converts a value to what the driver takes for a column of the kind.
	Bind(v predicate.Value) driver.Value
	// Scan converts what the driver gave for a column of the kind.
	Scan(kind predicate.Kind, v driver.Value) (predicate.Value, error)
	// Unknown is an expression of SQL's unknown truth value.
	Unknown() string
	// Compare writes a comparison of a column with a value of its kind. Text compares by bytes; on a Foreign column the
	// collation is named, in a form that leaves the column's index in use.
	Compare(b *Builder, column Column, op predicate.Op, v predicate.Value)
	// In writes a test for being one of values, of which there is at least one. A value of another kind than the
	// column's, NULL among them, is NULL.
	In(b *Builder, column Column, values []predicate.Value)
	// Pattern writes a like or ilike.
	Pattern(b *Builder, column Column, pattern []predicate.Token, fold bool)
	// Order writes an ORDER BY term.
	Order(b *Builder, column Column, descending, nullsFirst bool)
	// Lock is appended to a SELECT that locks its rows; "" where the transaction already does.
	Lock() string
	// Returning tells whether INSERT, UPDATE and DELETE can return rows.
	Returning() bool
	// DefaultValues stands for columns and values in an INSERT that gives none.
	DefaultValues() string
	// ForeignTriggers is a query whose rows are the table's triggers that CapeBase did not make (its own are named
	// "cape_…", on PostgreSQL "!capebase…"); without a table those of the whole database.
	ForeignTriggers(t *Table) (query string, args []driver.NamedValue)
	// ColumnType is the type, with its collation, of the columns that CapeBase creates.
	ColumnType(shape Shape) string
	// Classify says what kind of failure a driver's error is.
	Classify(err error) Failure
}

// RowReader is a Dialect that reads rows from its driver without the values of database/sql in between.
type RowReader interface {
	// ReadRow reads the next row of the table's columns; read is false where rows are not of its driver, and nothing was
	// done. The error is the driver's, io.EOF among them, or that of Scan for the column failed, which is else negative.
	ReadRow(rows driver.Rows, columns []Column, row []predicate.Value) (read bool, failed int, err error)
}

// Shape is what decides the type of a column that is to be created.
type Shape struct {
	Kind      predicate.Kind
	Size      int  // most code points of a Text, most bytes of a Bytes; 0: no limit
	Precision int  // most digits of a Decimal; 0: as many as the database can
	Scale     int  // most of them after the point
	Keyed     bool // in a key or an index, which some databases have only on text of a bounded length
}

// Failure is what went wrong in a database.
type Failure struct {
	Class      Class
	Constraint string   // its name, where the database tells
	Columns    []string // the columns at fault, where the database tells
}

// Class is a kind of failure.
type Class uint8

// The classes.
const (
	Other           Class = iota
	UniqueViolation       // 409
	NotNull               // 422, as the following two
	Check
	ForeignKey
	TooLong  // a value that the column cannot hold; 422
	Busy     // deadlock, serialization failure, lock time-out: try the whole transaction again
	Down     // the database cannot be reached: 503
	Cut      // the context ended
	ReadOnly // a write on a connection that may only read
	Stale    // a prepared statement that the schema has outgrown, or that the server forgot: prepare it again
)

// Builder collects a statement and its arguments.
type Builder struct {
	Dialect Dialect
	Args    []driver.NamedValue
	text    strings.Builder
}

// NewBuilder begins a statement.
func NewBuilder(d Dialect) *Builder { return &Builder{Dialect: d} }

// Grow makes room for so many bytes of SQL and arguments.
func (b *Builder) Grow(bytes, args int) {
	b.text.Grow(bytes)
	b.Args = slices.Grow(b.Args, args)
}

// Write appends SQL.
func (b *Builder) Write(parts ...string) {
	for _, part := range parts {
		b.text.WriteString(part)
	}
}

// Quote appends a quoted identifier.
func (b *Builder) Quote(identifier string) { b.text.WriteString(b.Dialect.Quote(identifier)) }

// Table appends a table's quoted name, with its schema where it has one.
func (b *Builder) Table(t *Table) {
	if t.Schema != "" {
		b.Quote(t.Schema)
		b.Write(".")
	}
	b.Quote(t.Name)
}

// Columns appends the quoted names of all columns, separated by commas.
func (b *Builder) Columns(t *Table) {
	for i := range t.Columns {
		if i > 0 {
			b.Write(", ")
		}
		b.Quote(t.Columns[i].Name)
	}
}

// Arg appends a placeholder and its argument.
func (b *Builder) Arg(v predicate.Value) { b.Raw(b.Dialect.Bind(v)) }

// Raw appends a placeholder and an argument in the driver's form.
func (b *Builder) Raw(v driver.Value) {
	b.Args = append(b.Args, driver.NamedValue{Ordinal: len(b.Args) + 1, Value: v})
	b.Write(b.Dialect.Placeholder(len(b.Args)))
}

// String returns the statement so far.
func (b *Builder) String() string { return b.text.String() }

// TimeLayout is how times are written as text where a database has no type for them: fixed width, so that they sort.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// FormatTime writes t in TimeLayout.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }
