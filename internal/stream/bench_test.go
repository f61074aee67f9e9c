package stream

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// count is what all clients have got, and tells when that is as much as is awaited.
type count struct {
	events, awaited atomic.Int64
	reached         chan struct{}
}

func (c *count) add() {
	if c.events.Add(1) == c.awaited.Load() {
		c.reached <- struct{}{}
	}
}

// sink is a client that takes everything at once.
type sink struct {
	header http.Header
	count  *count
}

func (w *sink) Header() http.Header              { return w.header }
func (w *sink) WriteHeader(int)                  {}
func (w *sink) SetReadDeadline(time.Time) error  { return nil }
func (w *sink) SetWriteDeadline(time.Time) error { return nil }
func (w *sink) Flush()                           { w.count.add() }
func (w *sink) Write(b []byte) (int, error)      { return len(b), nil }

// BenchmarkBroadcast is what a delivery costs without the network: each change reaches every stream.
func BenchmarkBroadcast(b *testing.B) {
	for _, streams := range []int{100, 1000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			bed := newBed(b, limits(func(l *Limits) { l.StreamsEach = streams + 1 }))
			ctx, cancel := context.WithCancel(b.Context())
			counted := &count{reached: make(chan struct{}, 1)}
			var group sync.WaitGroup
			for range streams {
				r := httptest.NewRequest(http.MethodGet, "/todo/subscribe", nil).WithContext(ctx)
				r.Header.Set("Authorization", "Bearer alice")
				group.Go(func() { bed.http.Config.Handler.ServeHTTP(&sink{http.Header{}, counted}, r) })
			}
			// The header, and ready.
			eventually(b, "all listen", func() bool { return counted.events.Load() == 2*int64(streams) })
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				counted.awaited.Store(counted.events.Load() + int64(streams))
				bed.store.put(todos, values(1, "alice", fmt.Sprint(i), ""))
				<-counted.reached
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(streams), "ns/delivery")
			cancel()
			group.Wait()
		})
	}
}
