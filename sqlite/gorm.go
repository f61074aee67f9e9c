package sqlite

import (
	"database/sql"
	"errors"

	"github.com/ncruces/go-sqlite3/gormlite"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/engine"
)

// dialector is GORM's, whose Translate forgets the error that it finds a name for.
type dialector struct{ gorm.Dialector }

func gormDialector(db *sql.DB) gorm.Dialector { return dialector{gormlite.OpenDB(db)} }

// Translate implements gorm.ErrorTranslator.
func (d dialector) Translate(err error) error {
	own, ok := d.Dialector.(gorm.ErrorTranslator)
	if !ok {
		return err
	}
	name := own.Translate(err)
	if errors.Is(name, err) {
		return err
	}
	return &engine.Translation{Name: name, Err: err}
}

// SavePoint implements gorm.SavePointerDialectorInterface.
func (d dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo implements gorm.SavePointerDialectorInterface.
func (d dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}
