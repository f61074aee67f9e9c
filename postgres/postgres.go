// Package postgres opens PostgreSQL databases, version 13 or later.
//
// The database's encoding must be UTF8. Every session runs in UTC. Text compares by bytes and sorts by code point,
// whatever the database's collation; columns whose collation is not deterministic, and columns of type character(n),
// are not supported.
package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/capebase/capebase/internal/engine"
)

// Database is what capebase.Open takes.
type Database struct {
	url       string
	connector driver.Connector
}

// URL opens postgres://user:password@host/name?options. The options are those of libpq and pgx, such as sslmode,
// search_path and default_query_exec_mode=exec (for PgBouncer), and pool_max_conns, the most connections that are open
// at a time (default 4 for each processor, at least 8 and at most 64). The environment variables of libpq, such as
// PGHOST, fill what the URL leaves out.
func URL(url string) Database { return Database{url: url} }

// Connector opens connections with a connector of the user's (cloud proxies, IAM, otelsql). Its driver must take $1 as
// placeholders and give times as time.Time, as pgx's stdlib does. CapeBase sets the time zone of each connection.
func Connector(c driver.Connector) Database { return Database{connector: c} }

// Name is the engine's name.
func (Database) Name() string { return "postgres" }

// Connect looks at the server once. It implements capebase.Database.
func (d Database) Connect(ctx context.Context) (*engine.Backend, error) {
	connector, connections, native, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := check(ctx, connector); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	backend := &engine.Backend{
		Dialect:          dialect{},
		Writer:           connector,
		Writers:          connections,
		CachesStatements: true,
		Wait:             wait,
		Alive:            alive,
		Gorm:             gormDialector,
		Close:            func() error { return nil },
	}
	if native {
		backend.Query = newReader().query
	}
	return backend, nil
}

// open tells also whether results can be read natively: what a user's connector would see of the statements is theirs.
func (d Database) open() (c driver.Connector, connections int, native bool, err error) {
	connections = min(max(8, 4*runtime.NumCPU()), 64)
	if d.url == "" {
		if d.connector == nil {
			return nil, 0, false, errors.New("no URL given: postgres://user:password@host/name")
		}
		return &connector{d.connector}, connections, false, nil
	}
	config, err := parse(d.url)
	if err != nil {
		return nil, 0, false, err
	}
	const option = "pool_max_conns"
	if text, ok := config.RuntimeParams[option]; ok {
		delete(config.RuntimeParams, option)
		if connections, err = strconv.Atoi(text); err != nil || connections < 1 {
			return nil, 0, false, fmt.Errorf("%s=%q is not a positive number", option, text)
		}
	}
	return stdlib.GetConnector(*config, stdlib.OptionAfterConnect(prepareSession)), connections, describes(config.DefaultQueryExecMode), nil
}

// parse keeps the URL out of its errors: it holds a password.
func parse(url string) (*pgx.ConnConfig, error) {
	scheme, _, ok := strings.Cut(url, "://")
	if !ok || scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("the URL does not begin with postgres://")
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the URL is not understood: " + reason(err))
	}
	config.RuntimeParams["timezone"] = "UTC"
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.RuntimeParams["standard_conforming_strings"] = "on"
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "capebase"
	}
	return config, nil
}

// reason says what is wrong with a URL in words that hold no part of it. Those of pgx hold the URL, and hide a password
// only where it stands in its usual place.
func reason(err error) string {
	text := err.Error()
	for _, known := range [...]struct{ in, reason string }{
		{"failed to parse as URL", "user, password and name must be percent-encoded"},
		{"invalid port", "the port is no port"},
		{"failed to configure TLS", "sslmode, sslcert, sslkey or sslrootcert cannot be used"},
		{"invalid connect_timeout", "connect_timeout is not a number of seconds"},
		{"target_session_attrs", "target_session_attrs has an unknown value"},
		{"default_query_exec_mode", "default_query_exec_mode has an unknown value"},
		{"failed to read service", "the service is not found"},
	} {
		if strings.Contains(text, known.in) {
			return known.reason
		}
	}
	return "an option has a wrong value"
}

// prepareSession makes times come back in UTC instead of the machine's zone.
func prepareSession(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// wait implements engine.Backend's Wait.
func wait(ctx context.Context, c driver.Conn) (payload string, err error) {
	conn, ok := c.(*stdlib.Conn)
	if !ok {
		return "", errors.ErrUnsupported
	}
	notification, err := conn.Conn().WaitForNotification(ctx)
	if err != nil {
		return "", err
	}
	return notification.Payload, nil
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
	const setUp = "SELECT set_config('timezone', 'UTC', false), set_config('client_encoding', 'UTF8', false), " +
		"set_config('standard_conforming_strings', 'on', false)"
	if _, err := engine.QueryRow(ctx, conn, setUp); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// check refuses servers on which values would not be what they are elsewhere.
func check(ctx context.Context, c driver.Connector) (err error) {
	conn, err := c.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	row, err := engine.QueryRow(ctx, conn, "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')")
	if err != nil {
		return err
	}
	const oldest = 130000
	version, _ := row[0].(int64)
	encoding, _ := engine.TextOf(row[1])
	switch {
	case version < oldest:
		return fmt.Errorf("the server's version %d is too old: 13 is needed", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s, and only UTF8 is supported", encoding)
	}
	return nil
}
