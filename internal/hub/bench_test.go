package hub

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/predicate"
)

var sizes = []int{100, 1_000, 5_000, 50_000}

// drained subscribes n times and returns the subscriptions with their first wake-up taken.
func drained(b *testing.B, h *Hub, n int, visible func(id int) *predicate.Expr) []*Subscription {
	b.Helper()
	subscriptions := make([]*Subscription, n)
	for id := range subscriptions {
		s := h.Subscribe(h.Head(), Shape{0, visible(id), everything})
		<-s.Ready()
		subscriptions[id] = s
		b.Cleanup(s.Close)
	}
	return subscriptions
}

func update(position int64, id int) []Event {
	return []Event{{Mark: Mark{Position: position}, Before: rowOf(id, "new"), After: rowOf(id, "open")}}
}

// One subscriber sees each event, by an equality beside another one that all have: an event must cost the same however
// many others there are.
func BenchmarkPublishOwner(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := New(Options{})
			subscriptions := drained(b, h, n, func(id int) *predicate.Expr {
				return predicate.All(owns(id), &predicate.Expr{Op: predicate.IsNull, Column: extra})
			})
			buffer := make([]Message, 0, 8)
			b.ReportAllocs()
			position := int64(0)
			for b.Loop() {
				position++
				id := int(position*7919) % n
				h.Publish(update(position, id))
				<-subscriptions[id].Ready()
				if buffer, _, _ = subscriptions[id].Take(buffer); len(buffer) != 1 {
					b.Fatalf("%d messages", len(buffer))
				}
			}
		})
	}
}

// All see each event.
func BenchmarkPublishBroadcast(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := New(Options{})
			subscriptions := drained(b, h, n, func(int) *predicate.Expr { return everyone() })
			buffer := make([]Message, 0, 8)
			position := int64(0)
			for b.Loop() {
				position++
				h.Publish(update(position, 1))
				for _, s := range subscriptions {
					<-s.Ready()
					if buffer, _, _ = s.Take(buffer); len(buffer) != 1 {
						b.Fatalf("%d messages", len(buffer))
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

// How long an event takes to publish while others subscribe and close without pause, among them one with many keys.
func BenchmarkPublishWhileSubscribing(b *testing.B) {
	h := New(Options{})
	drained(b, h, 5_000, owns)
	many := &predicate.Expr{Op: predicate.In, Column: owner}
	for id := range maxKeys {
		many.Values = append(many.Values, predicate.IntValue(int64(id)))
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for id := 0; ; id++ {
				select {
				case <-stop:
					return
				default:
				}
				visible := owns(worker*10_000 + id%10_000)
				if id%100 == 0 {
					visible = predicate.All(many, predicate.Any(everyone(), owns(worker)))
				}
				h.Subscribe(h.Head(), Shape{0, visible, everything}).Close()
			}
		})
	}
	var took []time.Duration
	position := int64(0)
	for b.Loop() {
		position++
		start := time.Now()
		h.Publish(update(position, int(position)%5_000))
		took = append(took, time.Since(start))
	}
	close(stop)
	group.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds()), "p99.9-ns")
}

func BenchmarkSubscribeClose(b *testing.B) {
	h := New(Options{})
	drained(b, h, 50_000, owns)
	id := 50_000
	b.ReportAllocs()
	for b.Loop() {
		id++
		h.Subscribe(h.Head(), Shape{0, owns(id), everything}).Close()
	}
}
