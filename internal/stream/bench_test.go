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

// sink is a client that takes everything at once.
type sink struct {
	header http.Header
	events *atomic.Int64
}

func (w *sink) Header() http.Header              { return w.header }
func (w *sink) WriteHeader(int)                  {}
func (w *sink) SetReadDeadline(time.Time) error  { return nil }
func (w *sink) SetWriteDeadline(time.Time) error { return nil }
func (w *sink) Flush()                           { w.events.Add(1) }
func (w *sink) Write(b []byte) (int, error)      { return len(b), nil }

// BenchmarkBroadcast is what a delivery costs without the network: each change reaches every stream.
func BenchmarkBroadcast(b *testing.B) {
	for _, streams := range []int{100, 1000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			bed := newBed(b, limits(func(l *Limits) { l.StreamsEach = streams + 1 }))
			ctx, cancel := context.WithCancel(b.Context())
			var events atomic.Int64
			var group sync.WaitGroup
			for range streams {
				r := httptest.NewRequest(http.MethodGet, "/todo/subscribe", nil).WithContext(ctx)
				r.Header.Set("Authorization", "Bearer alice")
				group.Go(func() { bed.http.Config.Handler.ServeHTTP(&sink{http.Header{}, &events}, r) })
			}
			reached := func(n int64) func() bool { return func() bool { return events.Load() >= n } }
			eventually(b, "all listen", reached(2*int64(streams))) // the header, and ready
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				before := events.Load()
				bed.store.put(todos, values(1, "alice", fmt.Sprint(i), ""))
				for !reached(before + int64(streams))() {
					time.Sleep(10 * time.Microsecond) //nolint:forbidigo // a spin would take the streams' time
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(streams), "ns/delivery")
			cancel()
			group.Wait()
		})
	}
}
