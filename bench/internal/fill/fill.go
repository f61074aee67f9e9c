// Package fill makes large SQLite databases fast, of what a server itself has written: the table is made by the server's
// own statements and its rows have the form of one that the server inserted; entries of the journal are written by the
// server's own triggers.
package fill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/ncruces/go-sqlite3/driver" // registers sqlite3
)

// batch is how many rows one statement writes.
const batch = 1_000_000

// Rows makes a database at path with a table todos of n rows, that has no journal yet. The template is a database in which
// a server has such a table with at least one row. User number u has the rows u+1, u+1+users, …, whose codes and notes are
// those of nine other rows of the user; n is a multiple of ten times users. What goes with the table comes last, so that
// indexes are sorted once.
func Rows(ctx context.Context, template, path string, n, users int) (err error) {
	if users < 1 || n < 1 || n%(10*users) != 0 {
		return fmt.Errorf("%d rows are no multiple of ten times %d users", n, users)
	}
	return with(ctx, path, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "ATTACH ? AS template", template); err != nil {
			return err
		}
		if err := copySchema(ctx, c, "table"); err != nil {
			return err
		}
		for first := 0; first < n; first += batch {
			const insert = `WITH RECURSIVE number(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2),
				pattern AS MATERIALIZED (SELECT * FROM template.todos LIMIT 1)
				INSERT INTO todos (id, user_id, task, is_complete, code, note, inserted_at)
				SELECT i + 1, printf('user-%04d', i % ?3), printf('todo %07d: buy oat milk, bread and a birthday card', i),
					pattern.is_complete, printf('code-%d', i % ?4), printf('note-%d', i % ?4), pattern.inserted_at
				FROM number CROSS JOIN pattern`
			if _, err := c.ExecContext(ctx, insert, first, min(first+batch, n), users, n/10); err != nil {
				return err
			}
		}
		return copySchema(ctx, c, "index")
	})
}

// copySchema runs the statements that made the template's table, or its indexes.
func copySchema(ctx context.Context, c *sql.Conn, kind string) (err error) {
	rows, err := c.QueryContext(ctx, "SELECT sql FROM template.sqlite_schema WHERE tbl_name = 'todos' AND type = ? AND sql IS NOT NULL", kind)
	if err != nil {
		return err
	}
	var statements []string
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			return errors.Join(err, rows.Close())
		}
		statements = append(statements, statement)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Journal updates the rows of a database with a journal until that has n entries, in turn. No server may run there.
func Journal(ctx context.Context, path string, n int) error {
	return with(ctx, path, func(c *sql.Conn) error {
		var last, rows int
		const count = "SELECT (SELECT coalesce(max(seq), 0) FROM cape_journal), (SELECT count(*) FROM todos)"
		if err := c.QueryRowContext(ctx, count).Scan(&last, &rows); err != nil {
			return err
		}
		for last < n {
			some := min(rows, n-last)
			const update = "UPDATE todos SET task = printf('todo %07d: buy oat milk, bread and a birthday card, %d', id, ?1) WHERE id <= ?2"
			result, err := c.ExecContext(ctx, update, last, some)
			if err != nil {
				return err
			}
			changed, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if changed == 0 {
				return errors.New("there are no rows to update")
			}
			last += int(changed)
		}
		return nil
	})
}

// with runs fn on a connection that does not wait for the disk. Nobody else may have the database open.
func with(ctx context.Context, path string, fn func(c *sql.Conn) error) (err error) {
	pool, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	c, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, pragma := range []string{"journal_mode = off", "synchronous = off", "cache_size = -60000", "temp_store = file"} {
		if _, err := c.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	if err := fn(c); err != nil {
		return fmt.Errorf("fill %s: %w", path, err)
	}
	return nil
}
