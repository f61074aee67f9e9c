package apitest

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
)

// databaseClock waits until a database's clock is past a time, and returns it.
func databaseClock(ctx context.Context, t rapid.TB, engine string, pool *sql.DB, past time.Time) time.Time {
	query := map[string]string{
		dbtest.SQLite:   "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000",
		dbtest.Postgres: "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
		dbtest.MariaDB:  "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
		dbtest.MySQL:    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
	}[engine]
	for {
		var micros int64
		if err := pool.QueryRowContext(ctx, query).Scan(&micros); err != nil {
			t.Fatal(err)
		}
		if at := time.UnixMicro(micros).UTC(); at.After(past) {
			return at
		}
	}
}

func (d *diary) do(token, method, path, body string) (status int, header http.Header, answer string) {
	r, err := http.NewRequestWithContext(d.ctx, method, d.server.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := d.server.Client().Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it has been read
	content, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}
