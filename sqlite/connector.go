package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// connector opens connections, and tries again while another process changes the journal mode of a new file: SQLite
// does not wait for that lock by itself.
type connector struct{ inner driver.Connector }

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.inner.Driver() }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	const pause = 5 * time.Millisecond
	deadline := time.Now().Add(busyTimeout)
	for {
		conn, err := c.inner.Connect(ctx)
		if err == nil || !errors.Is(err, sqlite3.BUSY) || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}
