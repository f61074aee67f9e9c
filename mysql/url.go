package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/capebase/capebase/internal/engine"
)

// The settings of each session. STRICT_TRANS_TABLES makes a value that does not fit an error instead of another value.
const (
	utc     = "'+00:00'"
	charset = "'utf8mb4'"
	strict  = "CONCAT(@@SESSION.sql_mode, ',STRICT_TRANS_TABLES')"
)

// parse keeps the URL out of its errors: it holds a password.
func (s *source) parse(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("the URL is not understood: user, password and name must be percent-encoded")
	}
	if u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return errors.New("the URL does not begin with mysql://")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" {
		return errors.New("the URL names no database: mysql://user:password@host:3306/name")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the URL's options are not understood")
	}
	if count := query.Get("pool_max_conns"); count != "" {
		if s.connections, err = strconv.Atoi(count); err != nil || s.connections < 1 {
			return fmt.Errorf("pool_max_conns=%q is not a positive number", count)
		}
	}
	if s.config, err = configOf(u, query); err != nil {
		return err
	}
	s.config.DBName = name
	s.config.User = u.User.Username()
	s.config.Passwd, _ = u.User.Password()
	need(s.config)
	if s.connector, err = mysql.NewConnector(s.config); err != nil {
		return fmt.Errorf("the URL's options do not fit together: %w", err)
	}
	return nil
}

// configOf has the driver read the options. The address goes with them, because the driver derives the name that a
// certificate must have from it.
func configOf(u *url.URL, query url.Values) (*mysql.Config, error) {
	address := "tcp(" + hostPort(u) + ")"
	if socket := query.Get("socket"); socket != "" {
		address = "unix(" + socket + ")"
	}
	if query.Has("strict") { // the driver panics
		return nil, errors.New("the option strict is not known")
	}
	query.Del("socket")
	query.Del("pool_max_conns")
	config, err := mysql.ParseDSN(address + "/?" + query.Encode())
	if err != nil {
		return nil, fmt.Errorf("the URL's options are not understood: %w", err)
	}
	return config, nil
}

func hostPort(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "3306"
	}
	return net.JoinHostPort(host, port)
}

// need sets what CapeBase relies on.
func need(config *mysql.Config) {
	config.ParseTime = true
	config.Loc = time.UTC
	config.ClientFoundRows = true // an UPDATE that changes nothing has still found its row
	config.MultiStatements = false
	config.InterpolateParams = false
	config.ColumnsWithAlias = false
	config.Logger = &mysql.NopLogger{} // what it would write is in the errors, too
	if config.Params == nil {
		config.Params = make(map[string]string)
	}
	config.Params["time_zone"] = utc
	config.Params["character_set_client"] = charset
	config.Params["character_set_connection"] = charset
	config.Params["character_set_results"] = charset
	mode := strict
	if given := config.Params["sql_mode"]; given != "" {
		mode = "CONCAT(" + given + ", ',STRICT_TRANS_TABLES')"
	}
	config.Params["sql_mode"] = mode
}

// connector sets up the sessions of a user's connector.
type connector struct{ inner driver.Connector }

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.inner.Driver() }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	const setUp = "SET time_zone = " + utc + ", character_set_client = " + charset + ", character_set_connection = " + charset +
		", character_set_results = " + charset + ", sql_mode = " + strict
	if err := engine.Exec(ctx, conn, setUp); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
