package journal

import (
	"context"
	"fmt"
	"strings"

	"github.com/capebase/capebase/internal/sqldriver"
)

// MissingError says that a database lacks a part of the journal, and that it may not be added.
type MissingError struct{ Statements []string }

// Error lists the SQL.
func (e *MissingError) Error() string {
	return "the journal is not up to date, and MigrateNone may not change it; the SQL that is missing:\n" +
		strings.Join(e.Statements, ";\n") + ";"
}

// Install makes the journal's tables and triggers, or brings them up to date. It needs the meta table of package migrate
// and the models' tables. Triggers of a newer format stay. Where triggers had been and are missing, a gap entry says so.
// Any number of processes may call it at once; where nothing is missing it writes nothing.
func (j *Journal) Install(ctx context.Context) error {
	statements, err := j.recording(ctx)
	if err == nil && len(statements) > 0 {
		err = j.install(ctx)
	}
	if err == nil {
		err = j.installIndexes(ctx)
	}
	if err != nil {
		return err
	}
	return j.begin(ctx)
}

// Check is Install for a program that may not change the schema: what is missing is a *MissingError.
func (j *Journal) Check(ctx context.Context) error {
	statements, err := j.recording(ctx)
	if err != nil {
		return err
	}
	missing, _, err := j.indexes(ctx)
	if err != nil {
		return err
	}
	if statements = append(statements, missing...); len(statements) > 0 {
		return &MissingError{Statements: statements}
	}
	return j.begin(ctx)
}

// Statements returns what Install would run. Before the tables exist it is what is needed for them as planned. Those about
// indexes come last; on PostgreSQL they cannot be part of a transaction.
func (j *Journal) Statements(ctx context.Context) ([]string, error) {
	statements, err := j.recording(ctx)
	if err != nil {
		return nil, err
	}
	missing, surplus, err := j.indexes(ctx)
	return append(append(statements, missing...), surplus...), err
}

// recording plans what is needed for changes to be recorded.
func (j *Journal) recording(ctx context.Context) (statements []string, err error) {
	err = j.db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		p, err := j.plan(ctx, c)
		if err == nil {
			statements = p.statements
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal: plan: %w", err)
	}
	return statements, nil
}

func (j *Journal) install(ctx context.Context) error {
	err := j.source.exclusive(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		p, err := j.plan(ctx, c) // again: another process may have done it
		if err != nil {
			return err
		}
		for _, statement := range p.statements {
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return fmt.Errorf("%w; the statement was:\n%s", err, statement)
			}
		}
		for _, table := range p.gaps {
			statement, args := j.source.gap(table)
			if _, err := c.Exec(ctx, statement, args); err != nil {
				return fmt.Errorf("note a gap of %s: %w", table, err)
			}
			j.log.WarnContext(ctx, "journal: triggers were missing and are back; changes in between are not known, and subscribers start again",
				"table", table)
		}
		for _, warning := range p.warnings {
			j.log.WarnContext(ctx, "journal: "+warning)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: install: %w", err)
	}
	return nil
}

// begin notes what is installed.
func (j *Journal) begin(ctx context.Context) error {
	epoch, err := j.readEpoch(ctx)
	if err != nil {
		return err
	}
	if epoch == "" {
		return ErrNotInstalled
	}
	j.epoch.Store(&epoch)
	if j.options.Stamp != nil {
		j.options.Stamp.ready.Store(true)
	}
	return nil
}

func (j *Journal) readEpoch(ctx context.Context) (epoch string, err error) {
	err = j.db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		epoch, err = j.source.epoch(ctx, c)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	return epoch, nil
}

// Uninstall drops all triggers and tables of the journal, of whichever models. It comes before that of package migrate.
func Uninstall(ctx context.Context, db *sqldriver.DB) error {
	j, err := Open(db, nil, Options{})
	if err != nil {
		return err
	}
	err = j.source.exclusive(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		statements, err := j.uninstall(ctx, c)
		if err != nil {
			return err
		}
		for _, statement := range statements {
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: uninstall: %w", err)
	}
	return nil
}
