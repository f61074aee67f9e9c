package mysql

import (
	"database/sql"
	"errors"

	"github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/engine"
)

// dialector is GORM's, whose Translate looks at errors that nothing wraps.
type dialector struct{ *gormmysql.Dialector }

func gormDialector(db *sql.DB, version string) gorm.Dialector {
	microseconds := 6
	mariadb := isMariaDB(version)
	return dialector{&gormmysql.Dialector{Config: &gormmysql.Config{
		Conn:                          db,
		ServerVersion:                 version,
		SkipInitializeWithVersion:     true, // it would ask outside of any context
		DefaultDatetimePrecision:      &microseconds,
		DontSupportRenameIndex:        mariadb,
		DontSupportRenameColumn:       mariadb,
		DontSupportForShareClause:     mariadb,
		DontSupportNullAsDefaultValue: mariadb,
	}}}
}

// Translate implements gorm.ErrorTranslator.
func (d dialector) Translate(err error) error {
	own := new(mysql.MySQLError)
	if !errors.As(err, &own) {
		return err
	}
	name := d.Dialector.Translate(own)
	if name == error(own) { //nolint:errorlint // it has no name for this one
		return err
	}
	return &engine.Translation{Name: name, Err: err}
}
