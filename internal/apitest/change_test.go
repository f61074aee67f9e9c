package apitest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// await receives what a handler was given, or fails.
func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived within 20 s")
		panic("unreachable")
	}
}

func TestServerSideSubscribers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		first, second := make(chan capebase.Change[Todo], 100), make(chan capebase.Change[Todo], 100)
		a := start(t, target, func(c *capebase.Cape) {
			todos := capebase.Publish[Todo](c)
			todos.Allow(policy.All, policy.Anyone())
			todos.OnChange(func(_ context.Context, change capebase.Change[Todo]) {
				first <- change
				if change.Row.Task == "panic" {
					panic("a handler's mistake")
				}
			})
			todos.OnChange(func(_ context.Context, change capebase.Change[Todo]) { second <- change })
			publishDocument(c)
		})
		alice := a.as("alice")
		seed(a) // changes of another model
		alice.post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
		alice.patch("/todo/1", `{"is_complete":true}`).want(http.StatusOK)
		alice.post("/todo", `[{"task":"panic"},{"task":"not refused","user_id":"bob"}]`).want(http.StatusForbidden)
		alice.delete("/todo/1").want(http.StatusNoContent)
		alice.post("/todo", `{"task":"panic"}`).want(http.StatusCreated)
		alice.post("/todo", `{"task":"after"}`).want(http.StatusCreated)
		for _, handler := range []<-chan capebase.Change[Todo]{first, second} {
			inserted, updated, deleted := await(t, handler), await(t, handler), await(t, handler)
			if inserted.Event != capebase.Inserted || inserted.Row.Task != "milk" || inserted.Before != nil || inserted.Actor != "alice" || inserted.Time.IsZero() {
				t.Fatalf("insert: %+v", inserted)
			}
			if updated.Event != capebase.Updated || !updated.Row.IsComplete || updated.Before.IsComplete || updated.ID == inserted.ID {
				t.Fatalf("update: %+v", updated)
			}
			if deleted.Event != capebase.Deleted || !deleted.Row.IsComplete || deleted.Row.Task != "milk" {
				t.Fatalf("delete: %+v", deleted)
			}
			if change := await(t, handler); change.Row.Task != "panic" {
				t.Fatalf("a rolled-back row arrived, or nothing after it: %+v", change)
			}
			if change := await(t, handler); change.Row.Task != "after" {
				t.Fatalf("a panic ended the handler: %+v", change)
			}
		}
	})
}

func TestDurableConsumer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		handled := make(chan capebase.Change[Todo], 100)
		broken := make(chan bool, 1)
		broken <- true
		declare := func(c *capebase.Cape) {
			todos := capebase.Publish[Todo](c)
			todos.Allow(policy.All, policy.Anyone())
			todos.Consume("mail", func(_ context.Context, change capebase.Change[Todo]) error {
				if change.Row.Task == "poison" {
					isBroken := <-broken
					broken <- isBroken
					if isBroken {
						return errors.New("cannot be sent")
					}
				}
				handled <- change
				return nil
			}, capebase.Tries(2))
		}
		a := start(t, target, declare)
		alice := a.as("alice")
		alice.post("/todo", `[{"task":"one"},{"task":"poison"},{"task":"two"}]`).want(http.StatusCreated)
		for _, want := range []string{"one", "two"} {
			if change := await(t, handled); change.Row.Task != want || change.Event != capebase.Inserted {
				t.Fatalf("want %s: %+v", want, change)
			}
		}
		letters, err := a.DeadLetters(context.Background(), "mail")
		if err != nil || len(letters) != 1 || letters[0].Tries != 2 || letters[0].Error != "cannot be sent" {
			t.Fatalf("dead letters: %+v, %v", letters, err)
		}
		<-broken
		broken <- false
		if n, err := a.RetryDeadLetters(context.Background(), "mail"); n != 1 || err != nil {
			t.Fatalf("retried %d, %v", n, err)
		}
		if change := await(t, handled); change.Row.Task != "poison" || change.ID != letters[0].ID {
			t.Fatalf("retried: %+v", change)
		}
		if _, err := a.DeadLetters(context.Background(), "nobody"); !errors.Is(err, capebase.ErrNoConsumer) {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		// What another program commits meanwhile is handled by the next one, and nothing twice.
		quiet := startWith(t, target, capebase.Config{NoConsumers: true}, declare)
		quiet.as("alice").post("/todo", `{"task":"three"}`).want(http.StatusCreated)
		if err := quiet.Close(); err != nil {
			t.Fatal(err)
		}
		again := start(t, target, declare)
		again.as("alice").post("/todo", `{"task":"four"}`).want(http.StatusCreated)
		for _, want := range []string{"three", "four"} {
			if change := await(t, handled); change.Row.Task != want {
				t.Fatalf("want %s: %+v", want, change)
			}
		}
	})
}

// Writes that come at the same time may share a transaction, but not what is said of who made them.
func TestWritersAtOnceKeepTheirNames(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		const each = 30
		changes := make(chan capebase.Change[Todo], 8*each)
		a := start(t, target, func(c *capebase.Cape) {
			todos := capebase.Publish[Todo](c)
			todos.Allow(policy.Read, policy.Anyone())
			todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
			todos.OnChange(func(_ context.Context, change capebase.Change[Todo]) { changes <- change })
		})
		var writers sync.WaitGroup
		for _, name := range []string{"alice", "bob", "alice", "bob"} {
			writers.Go(func() {
				for i := range each {
					a.as(name).post("/todo", `{"task":"`+name+`"}`).want(http.StatusCreated)
					a.as(name).post("/todo", `{"task":"`+name+`","user_id":"mallory"}`).want(http.StatusForbidden)
					if i%3 == 0 {
						a.as(name).patch("/todo/1", `{"task":"`+name+`"}`)
					}
				}
			})
		}
		writers.Wait()
		a.as("alice").post("/todo", `{"task":"last"}`).want(http.StatusCreated)
		for seen := 0; ; seen++ {
			change := await(t, changes)
			if change.Actor != change.Row.UserID || change.Row.Task != change.Actor && change.Row.Task != "last" {
				t.Fatalf("%+v", change)
			}
			if change.Row.Task == "last" {
				if seen < 4*each {
					t.Errorf("%d changes arrived", seen)
				}
				break
			}
		}
	})
}
