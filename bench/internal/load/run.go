package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Work is what one connection asks, one request after the other.
type Work interface {
	// Next appends the next request to b.
	Next(b []byte) []byte
	// Check says what is wrong with the answer to the last request.
	Check(Response) error
}

// Closing is Work that ends with a request of its own, which is not measured: to read back what was written.
type Closing interface {
	Work
	// Last appends a request to b, or nothing.
	Last(b []byte) []byte
	// CheckLast says what is wrong with its answer.
	CheckLast(Response) error
}

// Sample is what a run measured.
type Sample struct {
	Requests  int
	Took      time.Duration
	Latencies []time.Duration // of all requests, in no order
}

// Rate is the number of requests a second.
func (s Sample) Rate() float64 { return float64(s.Requests) / s.Took.Seconds() }

// Run sends n requests over the connections, each with the work of the same index, as fast as answers come. The first
// error, or answer that fails its check, ends the run.
func Run(ctx context.Context, conns []*Conn, works []Work, n int) (Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var left atomic.Int64
	left.Store(int64(n))
	latencies := make([][]time.Duration, len(conns))
	for i := range latencies {
		latencies[i] = make([]time.Duration, 0, 2*n/len(conns))
	}
	var group sync.WaitGroup
	start := time.Now()
	for i, conn := range conns {
		group.Go(func() {
			var request []byte
			for ctx.Err() == nil && left.Add(-1) >= 0 {
				request = works[i].Next(request[:0])
				sent := time.Now()
				response, err := conn.Do(request)
				latencies[i] = append(latencies[i], time.Since(sent))
				if err == nil {
					err = works[i].Check(response)
				}
				if err != nil {
					cancel(fmt.Errorf("%s: %w", firstLine(request), err))
				}
			}
		})
	}
	group.Wait()
	sample := Sample{Requests: n, Took: time.Since(start), Latencies: slices.Concat(latencies...)}
	return sample, context.Cause(ctx)
}

// Close sends the closing requests of works.
func Close(conns []*Conn, works []Work) error {
	for i, work := range works {
		closing, ok := work.(Closing)
		if !ok {
			continue
		}
		request := closing.Last(nil)
		if len(request) == 0 {
			continue
		}
		response, err := conns[i].Do(request)
		if err == nil {
			err = closing.CheckLast(response)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", firstLine(request), err)
		}
	}
	return nil
}

func firstLine(request []byte) []byte {
	if end := slices.Index(request, '\r'); end >= 0 {
		return request[:end]
	}
	return request
}
