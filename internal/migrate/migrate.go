// Package migrate makes the tables that models need, and says what stands in the way of using those that exist.
//
// It adds tables, columns, indexes and constraints, and nothing else: it never changes a type, drops anything or rebuilds
// a table. What would need that is an error with the SQL that a person may run. Text columns are made with the collation
// that compares bytes; a column that has another one is noted in the model, for comparisons to name the collation.
//
// A NOT NULL column that is added to a table with rows takes the default of its gorm tag as the database's default, or the
// zero of its kind: "", 0, false, the first moment of year 1, JSON null. Programs that do not know the column go on.
//
// GORM's AutoMigrate is not used: with a new foreign key it rebuilds a table of SQLite, and cascades delete the rows of
// others on the way.
package migrate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Mode says what may be changed.
type Mode int

// The modes.
const (
	All  Mode = iota // the models' tables and CapeBase's own
	Own              // only CapeBase's own
	None             // nothing
)

// Plan is what a database lacks.
type Plan struct {
	Steps    []Step   // in the order in which they can run
	Warnings []string // what works, but not as well as it could
}

// Step is one statement.
type Step struct {
	SQL string
	Own bool // it makes one of CapeBase's own tables

	hint string // what to do when it fails
}

// MissingError says that a database lacks what the mode forbids to add.
type MissingError struct {
	Mode  Mode
	Steps []Step // those that are forbidden
}

// Error lists the SQL.
func (e *MissingError) Error() string {
	var b strings.Builder
	if e.Mode == Own {
		b.WriteString("the models' tables do not fit, and MigrateOwn may not change them; the SQL that is missing:")
	} else {
		b.WriteString("the database is not up to date, and MigrateNone may not change it; the SQL that is missing:")
	}
	for _, step := range e.Steps {
		b.WriteString("\n" + step.SQL + ";")
	}
	return b.String()
}

// Make compares the database with the models and returns the SQL that is missing. It changes nothing in the database, and
// leaves in the models' tables which columns can be NULL and which have a foreign collation. What the mode forbids is a
// *MissingError beside the whole plan. What no mode does (another type, a missing NOT NULL, another key) is an error that
// names type and field, table and column, and SQL that would help.
func Make(ctx context.Context, db *sqldriver.DB, g *gorm.DB, models []*model.Model, mode Mode) (*Plan, error) {
	p, err := newPlanner(db, g, models)
	if err != nil {
		return nil, err
	}
	plan, err := p.look(ctx, db)
	if err != nil {
		return nil, err
	}
	return plan, plan.forbidden(mode)
}

// Run makes the plan real, and logs its warnings. One process does so at a time; others wait up to a minute for it.
// Where there is nothing to do it takes no lock and needs no right but to read. On SQLite and PostgreSQL it changes all or
// nothing; elsewhere the error says which statements have run.
func Run(ctx context.Context, db *sqldriver.DB, g *gorm.DB, models []*model.Model, mode Mode, logger *slog.Logger) error {
	p, err := newPlanner(db, g, models)
	if err != nil {
		return err
	}
	plan, err := p.look(ctx, db)
	if err == nil {
		err = plan.forbidden(mode)
	}
	// What stands in the way may be another process's work in progress: the lock will tell.
	if mode != None && (err != nil || len(plan.Steps) > 0) {
		plan, err = p.locked(ctx, db, mode, logger)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, warning := range plan.Warnings {
		logger.WarnContext(ctx, "database: "+warning)
	}
	return nil
}

// forbidden tells what of the plan the mode does not do.
func (p *Plan) forbidden(mode Mode) error {
	missing := &MissingError{Mode: mode}
	for _, step := range p.Steps {
		if mode == None || mode == Own && !step.Own {
			missing.Steps = append(missing.Steps, step)
		}
	}
	if len(missing.Steps) == 0 {
		return nil
	}
	return missing
}

// planner knows what is wanted.
type planner struct {
	system system
	ddl    writer
	gorm   *gorm.DB
	models []*model.Model
}

func newPlanner(db *sqldriver.DB, g *gorm.DB, models []*model.Model) (*planner, error) {
	system, err := newSystem(db.Dialect())
	if err != nil {
		return nil, err
	}
	return &planner{system: system, ddl: writer{system, db.Dialect()}, gorm: g, models: models}, nil
}

// look makes a plan without a lock.
func (p *planner) look(ctx context.Context, db *sqldriver.DB) (plan *Plan, err error) {
	err = db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		plan, err = p.plan(ctx, &session{conn: c, dialect: db.Dialect()})
		return err
	})
	return plan, err
}

// locked makes a plan and runs it, while no other process does.
func (p *planner) locked(ctx context.Context, db *sqldriver.DB, mode Mode, logger *slog.Logger) (plan *Plan, err error) {
	err = p.system.locked(ctx, db, func(ctx context.Context, s *session) error {
		if plan, err = p.plan(ctx, s); err != nil {
			return err
		}
		if err := plan.forbidden(mode); err != nil {
			return err
		}
		if len(plan.Steps) == 0 {
			return nil
		}
		if err := p.apply(ctx, s, plan, logger); err != nil {
			return err
		}
		// What was made is looked at again: the notes on the models are of what is there, not of what was meant.
		if plan, err = p.plan(ctx, s); err != nil {
			return err
		}
		if len(plan.Steps) > 0 {
			return fmt.Errorf("after all statements ran, this is still missing:\n%s", plan.Steps[0].SQL)
		}
		return nil
	})
	return plan, err
}

func (p *planner) apply(ctx context.Context, s *session, plan *Plan, logger *slog.Logger) error {
	for i, step := range plan.Steps {
		logger.InfoContext(ctx, "database: migrating", "sql", step.SQL)
		err := s.exec(ctx, step.SQL)
		if err != nil && step.hint != "" {
			err = fmt.Errorf("%w; %s", err, step.hint)
		}
		switch {
		case err == nil:
		case p.system.atomic():
			return fmt.Errorf("%w; nothing was changed; the statement was:\n%s", err, step.SQL)
		default:
			var done strings.Builder
			for _, step := range plan.Steps[:i] {
				done.WriteString("\n" + step.SQL + ";")
			}
			return fmt.Errorf("%w; the statement was:\n%s;\n%d statements before it have run and stay:%s", err, step.SQL, i, done.String())
		}
	}
	return nil
}

// plan compares the database, as the session sees it, with what is wanted.
func (p *planner) plan(ctx context.Context, s *session) (*Plan, error) {
	tables, err := want(p.system, p.gorm, p.models)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	meta := metaTable(s.dialect)
	own, err := p.compare(ctx, s, []*table{meta})
	if err != nil {
		return nil, err
	}
	rows, warnings, err := p.installed(ctx, s, meta, own.relation(meta.schema, meta.name) != nil)
	if err != nil {
		return nil, err
	}
	plan.Steps = own.steps(true)
	for _, row := range rows {
		plan.Steps = append(plan.Steps, Step{SQL: row, Own: true})
	}
	theirs, err := p.compare(ctx, s, tables)
	if err != nil {
		return nil, err
	}
	plan.Steps = append(plan.Steps, theirs.steps(false)...)
	plan.Warnings = append(warnings, theirs.warnings...)
	return plan, nil
}

// Uninstall drops CapeBase's own tables and leaves the models' as they are.
func Uninstall(ctx context.Context, db *sqldriver.DB) error {
	p, err := newPlanner(db, nil, nil)
	if err != nil {
		return err
	}
	err = p.system.locked(ctx, db, func(ctx context.Context, s *session) error {
		meta := metaTable(s.dialect)
		if err := s.exec(ctx, "DROP TABLE IF EXISTS "+p.ddl.table(meta.schema, meta.name)); err != nil {
			return err
		}
		return p.system.dropSchema(ctx, s, meta.schema)
	})
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	return nil
}
