// Package sqlite opens SQLite databases (pure Go, no cgo).
//
// A database file is used in WAL mode with synchronous=NORMAL and foreign keys on, by one connection that writes and
// several that read; [Database.Durable] has it wait for the disk. Other programs may use it at the same time. A file in UTF-16 is refused: its texts would sort
// otherwise than everywhere else.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/capebase/capebase/internal/engine"
)

// Database is what capebase.Open takes.
type Database struct {
	path    string
	temp    bool
	durable bool
}

// File opens or creates a database file. The directory must exist. The path is an ordinary one: in-memory names and
// "file:" URIs are refused by capebase.Open.
func File(path string) Database { return Database{path: path} }

// Temp is a private database for tests and demos, removed on Close. It lies in a directory of its own under
// [os.TempDir] and does not wait for the disk.
func Temp() Database { return Database{temp: true} }

// Durable has each commit wait until it is on the disk (synchronous=FULL), so that a write that was answered survives a loss
// of power. By default (NORMAL) it survives the end of the program, kill -9 too, but a loss of power or a crash of the system may undo
// the last commits, some seconds of them perhaps; the file is sound and each transaction whole or absent in either case.
//
// It costs a commit the time that the disk takes: a fraction of a millisecond to some. Writes of generated routes that wait
// meanwhile share the next commit, so that under load many wait for the disk together.
func (d Database) Durable() Database {
	d.durable = true
	return d
}

// Name is the engine's name.
func (Database) Name() string { return "sqlite" }

// Connect checks the file, or makes the temporary directory. It implements capebase.Database.
func (d Database) Connect(ctx context.Context) (*engine.Backend, error) {
	path, remove, err := d.place()
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	settings := settings{path: path, synchronous: d.synchronous()}
	backend, err := open(ctx, settings)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), remove())
	}
	backend.Close = remove
	return backend, nil
}

// synchronous is what a commit waits for.
func (d Database) synchronous() string {
	switch {
	case d.durable:
		return "full"
	case d.temp:
		return "off"
	default:
		return "normal"
	}
}

// place returns the absolute path of the file, and what removes it.
func (d Database) place() (path string, remove func() error, err error) {
	keep := func() error { return nil }
	if d.temp {
		directory, err := os.MkdirTemp("", "capebase-")
		if err != nil {
			return "", keep, err
		}
		return filepath.Join(directory, "temp.db"), func() error { return os.RemoveAll(directory) }, nil
	}
	if err := checkPath(d.path); err != nil {
		return "", keep, err
	}
	path, err = filepath.Abs(d.path)
	return path, keep, err
}

func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("no path given: name a file, or use sqlite.Temp()")
	case strings.Contains(path, ":memory:"):
		return fmt.Errorf("%q would be another database for each connection: use sqlite.Temp()", path)
	case strings.HasPrefix(path, "file:"):
		return fmt.Errorf("%q is a URI: give a plain path", path)
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("%q holds a NUL byte", path)
	}
	directory := filepath.Dir(path)
	switch info, err := os.Stat(directory); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %q does not exist: create it first", directory)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%q is not a directory", directory)
	}
	return nil
}

func open(ctx context.Context, s settings) (*engine.Backend, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	writer, err := s.connector(false)
	if err != nil {
		return nil, err
	}
	reader, err := s.connector(true)
	if err != nil {
		return nil, err
	}
	return &engine.Backend{
		Dialect: dialect{},
		Writer:  writer, Reader: reader,
		Writers: 1, Readers: max(8, 2*runtime.NumCPU()),
		BeginRead: "BEGIN", BeginWrite: "BEGIN IMMEDIATE",
		Embedded: true,
		Refresh:  "SELECT 1 FROM sqlite_schema LIMIT 1",
		Gorm:     gormDialector,
	}, nil
}

// settings are those of one file's connections.
type settings struct {
	path        string // absolute
	synchronous string
}

// busyTimeout bounds the wait for another process's lock. Ours never wait for each other: there is one writer.
const busyTimeout = 5 * time.Second

func (s settings) uri(readOnly bool) string {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // first: the others may have to wait
		"journal_mode(wal)",
		"synchronous(" + s.synchronous + ")",
		"foreign_keys(on)",
	}
	if readOnly {
		pragmas = append(pragmas, "query_only(on)")
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	return "file:" + escape(s.path) + "?" + query.Encode()
}

// escape writes a path for a URI, where ?, # and % have a meaning.
func escape(path string) string {
	return (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

func (s settings) connector(readOnly bool) (*connector, error) {
	inner, err := (&driver.SQLite{}).OpenConnector(s.uri(readOnly))
	if err != nil {
		return nil, err
	}
	return &connector{inner}, nil
}

// check looks at a file that exists; one that does not is not created before it is needed.
func (s settings) check(ctx context.Context) error {
	switch info, err := os.Stat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%q is a directory", s.path)
	}
	conn, err := sqlite3.OpenContext(ctx, "file:"+escape(s.path)+"?mode=ro")
	if err != nil {
		return fmt.Errorf("open %q: %w", s.path, err)
	}
	encoding, err := encodingOf(conn)
	switch err = errors.Join(err, conn.Close()); {
	case errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("%q is not an SQLite database", s.path)
	case err != nil:
		return fmt.Errorf("open %q: %w", s.path, err)
	case encoding != "UTF-8":
		return fmt.Errorf("%q is encoded in %s, and only UTF-8 is supported: write it to a new file with sqlite3's .dump", s.path, encoding)
	}
	return nil
}

func encodingOf(conn *sqlite3.Conn) (string, error) {
	if err := conn.BusyTimeout(busyTimeout); err != nil {
		return "", err
	}
	statement, _, err := conn.Prepare("PRAGMA encoding")
	if err != nil {
		return "", err
	}
	var encoding string
	if statement.Step() {
		encoding = statement.ColumnText(0)
	}
	return encoding, errors.Join(statement.Err(), statement.Close())
}
