package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// record is a row.
type record struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id"`
	Task       string    `json:"task"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at"`
}

// change holds the fields that an update gives.
type change struct {
	UserID     *string `json:"user_id"`
	Task       *string `json:"task"`
	IsComplete *bool   `json:"is_complete"`
}

var errNotFound = errors.New("not found")

// store reads and writes todos. Its statements are prepared once.
type store struct {
	read, write *sql.DB // the same pool where one serves both
	text        statements

	getStatement, listStatement, createStatement, updateStatement *sql.Stmt
}

func (s *store) Close() error {
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(err, s.write.Close())
	}
	return err
}

// prepare creates the table and prepares the statements.
func (s *store) prepare(ctx context.Context) error {
	for _, statement := range s.text.schema {
		if _, err := s.write.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the table: %w", err)
		}
	}
	for _, each := range []struct {
		into **sql.Stmt
		pool *sql.DB
		text string
	}{
		{&s.getStatement, s.read, s.text.get},
		{&s.listStatement, s.read, s.text.list},
		{&s.createStatement, s.write, s.text.create},
		{&s.updateStatement, s.write, s.text.update},
	} {
		var err error
		if *each.into, err = each.pool.PrepareContext(ctx, each.text); err != nil {
			return fmt.Errorf("prepare %q: %w", each.text, err)
		}
	}
	return nil
}

func (s *store) one(ctx context.Context, user string, id int64) (record, error) {
	return scan(s.getStatement.QueryRowContext(ctx, id, user))
}

func (s *store) list(ctx context.Context, user string, limit, offset int) (all []record, err error) {
	rows, err := s.listStatement.QueryContext(ctx, user, limit, offset)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = make([]record, 0, limit)
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func (s *store) create(ctx context.Context, user, task string, complete bool) (record, error) {
	row := record{UserID: user, Task: task, IsComplete: complete, InsertedAt: time.Now().UTC().Truncate(time.Microsecond)}
	if s.text.returning {
		err := s.createStatement.QueryRowContext(ctx, user, task, complete, row.InsertedAt).Scan(&row.ID)
		return row, err
	}
	result, err := s.createStatement.ExecContext(ctx, user, task, complete, row.InsertedAt)
	if err != nil {
		return record{}, err
	}
	row.ID, err = result.LastInsertId()
	return row, err
}

func (s *store) update(ctx context.Context, user string, id int64, c change) (record, error) {
	if s.text.updateReturns {
		return scan(s.updateStatement.QueryRowContext(ctx, c.Task, c.IsComplete, id, user))
	}
	result, err := s.updateStatement.ExecContext(ctx, c.Task, c.IsComplete, id, user)
	if err != nil {
		return record{}, err
	}
	switch n, err := result.RowsAffected(); {
	case err != nil:
		return record{}, err
	case n == 0:
		return record{}, errNotFound
	}
	return s.one(ctx, user, id)
}

func scan(row interface{ Scan(into ...any) error }) (record, error) {
	var t record
	err := row.Scan(&t.ID, &t.UserID, &t.Task, &t.IsComplete, &t.InsertedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, errNotFound
	}
	return t, err
}
