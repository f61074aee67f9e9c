// Package mysql opens MySQL (8.0.17 or later) and MariaDB (10.6 or later) databases.
//
// Every session runs in UTC, in utf8mb4 and in a strict sql_mode. Text compares by bytes and sorts by code point,
// whatever the collations of existing columns. A float column of single precision holds other numbers than were written
// to it, on these engines as elsewhere; what is compared is what it holds. Sorting looks at the first max_sort_length
// bytes of a text, 1,024 unless the server says otherwise: some 340 letters.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// Database is what capebase.Open takes.
type Database struct {
	url       string
	connector driver.Connector
}

// URL opens mysql://user:password@host:port/name?options, or mysql://user:password@/name?socket=/run/mysqld/mysqld.sock.
// User, password and name are percent-encoded where they must be; the port is 3306 unless given. The options are those
// of github.com/go-sql-driver/mysql, such as tls=true and timeout=5s, any other name is a session variable, and
// pool_max_conns is the most connections that are open at a time (default 4 for each processor, at least 8 and at most
// 64). What CapeBase needs (time zone, character set, found rows, one statement at a time) is set whatever the URL says.
func URL(url string) Database { return Database{url: url} }

// Connector opens connections with a connector of the user's. It must be one of github.com/go-sql-driver/mysql, or wrap
// one, with clientFoundRows=true and without interpolateParams and multiStatements. CapeBase sets up each session.
func Connector(c driver.Connector) Database { return Database{connector: c} }

// Name is the engine's name, for MariaDB too.
func (Database) Name() string { return "mysql" }

// Connect looks at the server once. It implements capebase.Database.
func (d Database) Connect(ctx context.Context) (*engine.Backend, error) {
	source, err := d.source()
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	version, err := source.check(ctx)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	own, err := newDialect(version)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	var spoken engine.Dialect = own
	if own.compound {
		spoken = mariadb{own}
	}
	return &engine.Backend{
		Dialect: spoken,
		Writer:  source.connector,
		Writers: source.connections,
		Gorm:    func(db *sql.DB) gorm.Dialector { return gormDialector(db, version) },
		Close:   func() error { return nil },
	}, nil
}

// source opens connections.
type source struct {
	connector   driver.Connector
	config      *mysql.Config // of a URL
	connections int
}

func (d Database) source() (source, error) {
	s := source{connections: min(max(8, 4*runtime.NumCPU()), 64)}
	switch {
	case d.url != "":
		err := s.parse(d.url)
		return s, err
	case d.connector == nil:
		return s, errors.New("no URL given: mysql://user:password@host:3306/name")
	}
	s.connector = &connector{d.connector}
	return s, nil
}

// check returns the server's version. Longer statements than the server takes are then refused before they are sent:
// the server would only close the connection.
func (s *source) check(ctx context.Context) (version string, err error) {
	conn, err := s.connector.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	row, err := engine.QueryRow(ctx, conn, "SELECT VERSION(), @@max_allowed_packet")
	if err != nil {
		return "", err
	}
	version, _ = engine.TextOf(row[0])
	limit, err := engine.Scan(predicate.Int, row[1])
	if err != nil || s.config == nil {
		return version, err
	}
	s.config.MaxAllowedPacket = int(limit.Int())
	s.connector, err = mysql.NewConnector(s.config)
	return version, err
}

// newDialect finds the collation that compares by bytes and pads nothing. Beside it, the two servers' SQL differs for us
// in what [mariadb] adds.
func newDialect(version string) (dialect, error) {
	var major, minor, patch int
	numbers := version
	if _, rest, ok := strings.Cut(version, "5.5.5-"); ok { // a prefix with which MariaDB posed as MySQL
		numbers = rest
	}
	if _, err := fmt.Sscanf(numbers, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return dialect{}, fmt.Errorf("the server's version %q is not understood", version)
	}
	at := func(a, b, c int) bool {
		return major > a || major == a && (minor > b || minor == b && patch >= c)
	}
	if isMariaDB(version) {
		if !at(10, 6, 0) {
			return dialect{}, fmt.Errorf("MariaDB %s is too old: 10.6 is needed", numbers)
		}
		return dialect{collation: "utf8mb4_nopad_bin", maxScale: 38, compound: at(10, 6, 2)}, nil
	}
	if !at(8, 0, 17) {
		return dialect{}, fmt.Errorf("MySQL %s is too old: 8.0.17 is needed", numbers)
	}
	return dialect{collation: "utf8mb4_0900_bin", maxScale: 30}, nil
}

func isMariaDB(version string) bool { return strings.Contains(version, "MariaDB") }
