package engines

import (
	"database/sql"
	"net/url"
	"strings"

	gomysql "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3/driver"
)

// Plain opens a dbtest.Target's URL as a program does that knows nothing of CapeBase. Statements go as text with their
// arguments in it, as those of command line clients.
func Plain(target string) (*sql.DB, error) {
	if path, ok := strings.CutPrefix(target, "sqlite:"); ok {
		return driver.Open("file:" + path + "?_txlock=immediate&_pragma=busy_timeout(20000)")
	}
	if strings.HasPrefix(target, "postgres:") {
		config, err := pgx.ParseConfig(target)
		if err != nil {
			return nil, err
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		return stdlib.OpenDB(*config), nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	config := gomysql.NewConfig()
	config.Net, config.Addr, config.DBName, config.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.InterpolateParams = true
	connector, err := gomysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
