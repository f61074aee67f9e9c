package apitest

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
)

// maxExportHeap is the most heap that an export may have in use, with all that the program has beside it.
const maxExportHeap = 64 << 20

// TestAuditExport exports CAPE_AUDIT_ENTRIES entries, 6,000 unless it is set, in bounded memory; see make audit-export.
func TestAuditExport(t *testing.T) {
	total := 6_000
	if text := os.Getenv("CAPE_AUDIT_ENTRIES"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	// One after the other: they share the heap.
	for _, engine := range []string{dbtest.SQLite, dbtest.Postgres, dbtest.MariaDB} {
		t.Run(engine, func(t *testing.T) {
			a := startWith(t, dbtest.New(t, engine), capebase.Config{Logger: slog.New(slog.DiscardHandler)}, papers)
			began := time.Now()
			many(t, a, total)
			made := time.Since(began)
			for _, export := range []struct {
				query string
				lines int
			}{{"?format=ndjson&order=asc", total}, {"?format=csv&order=desc", total + 1}, {"?format=ndjson&key=1", 2}} {
				peak := peakHeap()
				began := time.Now()
				lines, bytes := a.as("admin").download("/audit" + export.query)
				most := peak()
				t.Logf("%s, %s: %d lines, %.1f MB in %v (made in %v), at most %.1f MiB of heap in use",
					engine, export.query, lines, float64(bytes)/1e6, time.Since(began).Round(time.Millisecond), made.Round(time.Second), float64(most)/(1<<20))
				if lines != export.lines {
					t.Errorf("%s: %d lines, want %d", export.query, lines, export.lines)
				}
				if most >= maxExportHeap {
					t.Errorf("%s: %d bytes of heap were in use, and at most %d may be", export.query, most, maxExportHeap)
				}
			}
		})
	}
}

// many makes entries: half of them insert rows, the others change them.
func many(t *testing.T, a *app, total int) {
	t.Helper()
	const each = 500
	ctx := auth.Privileged(t.Context(), "many rows")
	row := "('alice', 'a title that is neither short nor long', '', '', 1)"
	insert := "INSERT INTO papers (owner, title, hidden, secret, ordinal) VALUES " + strings.Repeat(row+", ", each-1) + row
	for range total / 2 / each {
		if _, err := a.SQL().ExecContext(ctx, insert); err != nil {
			t.Fatal(err)
		}
	}
	// In few transactions, which are large.
	for part := range 4 {
		if _, err := a.SQL().ExecContext(ctx, fmt.Sprintf("UPDATE papers SET ordinal = 2 WHERE id %% 4 = %d", part)); err != nil {
			t.Fatal(err)
		}
	}
}

// download counts what is sent.
func (c client) download(path string) (lines int, bytes int64) {
	t := c.app.t
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.app.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.app.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it has been read
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		lines++
		bytes += int64(len(scanner.Bytes())) + 1
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines, bytes
}

// peakHeap watches the heap until the function that it returns is called.
func peakHeap() (most func() uint64) {
	runtime.GC()
	var highest atomic.Uint64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			highest.Store(max(highest.Load(), stats.HeapInuse))
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	}()
	return func() uint64 {
		close(done)
		<-stopped
		return highest.Load()
	}
}
