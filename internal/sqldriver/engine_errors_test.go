package sqldriver_test

import (
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
)

const sqliteBusy = sqlite3.BUSY

var (
	postgresBusy = &pgconn.PgError{Code: "40001", Message: "could not serialize access"}
	mysqlBusy    = &mysql.MySQLError{Number: 1213, Message: "Deadlock found"}
)
