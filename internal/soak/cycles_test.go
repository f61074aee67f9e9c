package soak

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// What may be left after all streams are gone: a query that runs has a goroutine of its own, the database's pools grow and
// shrink by a few, and so does the heap.
const (
	leftGoroutines = 2
	leftFiles      = 8
	leftHeap       = 1 << 20
)

// TestStreamsLeaveNothingBehind opens and closes CAPE_SOAK_CYCLES streams of all kinds and compares what the backend holds
// before and after.
func TestStreamsLeaveNothingBehind(t *testing.T) {
	cycles := setting(t, "CAPE_SOAK_CYCLES", 1000, strconv.Atoi)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target)
		insertNumbered(t, target, 500) // for snapshots
		client := streamClient(0)
		t.Cleanup(client.CloseIdleConnections)
		const first = 200 // pools fill, and caches
		cycle(t, b, client, first)
		before := quiet(b)
		began := time.Now()
		cycle(t, b, client, cycles)
		took := time.Since(began)
		fits := func(u usage) bool {
			return u.Goroutines <= before.Goroutines+leftGoroutines && u.Files <= before.Files+leftFiles && u.Heap <= before.Heap+leftHeap
		}
		after := settled(b, fits)
		t.Logf("%s: %d streams in %v; before %+v, after %+v", target.Engine, cycles, took.Round(time.Millisecond), before, after)
		if !fits(after) {
			t.Logf("what runs:\n%s", b.goroutines())
			t.Errorf("want at most %d goroutines, %d files and %d bytes more", leftGoroutines, leftFiles, leftHeap)
		}
	})
}

// quiet is the least that the backend holds within a while.
func quiet(b *backend) usage {
	const looks, pause = 20, 100 * time.Millisecond
	least := b.usage()
	for range looks {
		wait(context.Background(), pause)
		u := b.usage()
		least = usage{Heap: min(least.Heap, u.Heap), Goroutines: min(least.Goroutines, u.Goroutines), Files: min(least.Files, u.Files)}
	}
	return least
}

// settled is what the backend holds as soon as that is enough, or after a while.
func settled(b *backend, enough func(usage) bool) usage {
	const looks, pause = 100, 100 * time.Millisecond
	u := b.usage()
	for range looks {
		if enough(u) {
			break
		}
		wait(context.Background(), pause)
		u = b.usage()
	}
	return u
}

// cycle opens and closes streams, some at once, while rows change.
func cycle(t testing.TB, b *backend, client *http.Client, count int) {
	t.Helper()
	const atOnce = 8
	numbers := make(chan int)
	var working sync.WaitGroup
	for range atOnce {
		working.Go(func() {
			for n := range numbers {
				if err := openAndClose(b, client, n); err != nil {
					t.Errorf("cycle %d: %v", n, err)
				}
			}
		})
	}
	for n := range count {
		numbers <- n
		if n%50 == 0 {
			answer, err := b.do(t.Context(), http.MethodPost, "/task", "u1", map[string]any{"level": n, "v": 1, "tx": "cycle"})
			if err != nil || answer.status != http.StatusCreated {
				t.Errorf("%v %v", answer, err)
			}
		}
	}
	close(numbers)
	working.Wait()
}

// openAndClose leaves a stream in one of many ways.
func openAndClose(b *backend, client *http.Client, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	query := [...]string{"", "?snapshot=true", "?level=gte." + fmt.Sprint(n%100), "?snapshot=true&level=lt.50"}[n/8%4]
	switch n % 8 {
	case 0, 1, 2: // it listens
		stream, err := openEvents(ctx, client, "http://"+b.address+"/task/subscribe"+query, "admin", "")
		if err != nil {
			return err
		}
		_, err = stream.next()
		_ = stream.body.Close()
		return err
	case 3: // several tables
		stream, err := openEvents(ctx, client, "http://"+b.address+"/subscribe?tables=task,memo,reading", "u1", "")
		if err != nil {
			return err
		}
		_, err = stream.next()
		_ = stream.body.Close()
		return err
	case 4, 5:
		return socketCycle(ctx, b, "/task/subscribe"+query, n)
	case 6:
		return socketCycle(ctx, b, "/subscribe", n)
	}
	// Gone before the answer.
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		return err
	}
	_, err = io.WriteString(conn, "GET /task/subscribe?snapshot=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n")
	_ = conn.Close()
	return err
}

func socketCycle(ctx context.Context, b *backend, path string, n int) error {
	socket, err := openSocket(ctx, b.address, path, "admin")
	if err != nil {
		return err
	}
	defer socket.close()
	if path == "/subscribe" {
		if err := socket.tell(map[string]any{"subscribe": map[string]any{"id": "a", "table": "task", "snapshot": n%2 == 0}}); err != nil {
			return err
		}
	}
	if _, err = socket.next(); err != nil {
		return err
	}
	if n%3 == 0 {
		return socket.send(opClose, []byte{0x03, 0xe8}) // 1000
	}
	return nil
}
