package postgres

import (
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/engine"
)

// dialector is GORM's, whose Translate looks at errors that nothing wraps.
type dialector struct{ *gormpostgres.Dialector }

func gormDialector(db *sql.DB) gorm.Dialector {
	return dialector{&gormpostgres.Dialector{Config: &gormpostgres.Config{Conn: db}}}
}

// Translate implements gorm.ErrorTranslator.
func (d dialector) Translate(err error) error {
	own := new(pgconn.PgError)
	if !errors.As(err, &own) {
		return err
	}
	name := d.Dialector.Translate(own)
	if name == error(own) { //nolint:errorlint // it has no name for this one
		return err
	}
	return &engine.Translation{Name: name, Err: err}
}
