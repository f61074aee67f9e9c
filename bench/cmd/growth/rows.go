package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

const (
	rowsEach = 100 // rows of each user, where the number of rows grows
	page     = 20
	alike    = 10 // rows that have the same code, and those that have the same note
)

// measureRows has a table grow, and its users with it: each has as many rows as before.
func measureRows(ctx context.Context, b *bed, top int) (*curve.Family, error) {
	f := &curve.Family{Name: "rows", Size: "rows"}
	slow := map[string]bool{}
	for _, n := range sizes(1000, top) {
		n -= n % (alike * rowsEach)
		q := &questions{rows: n, users: n / rowsEach}
		tasks := []*task{
			q.get(), q.list("list 20"), q.filter("filter, indexed", "code"), q.filter("filter, no index", "note"),
			q.listAll("list 20 of all"), q.filterAll("filter all, indexed", "code"), q.filterAll("filter all, no index", "note"),
			q.create(),
		}
		if err := b.measureTable(ctx, f, n, q, tasks, slow); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// measureOwn has the rows of each user grow, of whom there are always as many.
func measureOwn(ctx context.Context, b *bed, top int) (*curve.Family, error) {
	const callers = 10
	f := &curve.Family{Name: "own", Size: "rows of a caller"}
	slow := map[string]bool{}
	for _, n := range sizes(10, top) {
		n -= n % alike
		q := &questions{rows: n * callers, users: callers}
		tasks := []*task{
			q.get(), q.list("list 20"), q.filter("filter, indexed", "code"), q.filter("filter, no index", "note"), q.count(), q.create(),
		}
		if err := b.measureTable(ctx, f, n, q, tasks, slow); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// measureTable measures tasks on a table that is made for it. Those that have become slow are left out.
func (b *bed) measureTable(ctx context.Context, f *curve.Family, size int, q *questions, tasks []*task, slow map[string]bool) (err error) {
	path, err := b.fill(ctx, f.Name+strconv.Itoa(size), q.rows, q.users)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.remove(path)) }()
	s, err := b.open(ctx, path, q.users)
	if err != nil {
		return err
	}
	q.all = s.users
	for _, t := range tasks {
		if slow[t.name] {
			continue
		}
		p, err := s.ask(ctx, &b.options, t)
		if err != nil {
			return errors.Join(err, s.stop())
		}
		at(f, size, t.name, cpuTime, p)
		if p.Value > tooSlow {
			slow[t.name] = true
			f.Notes = append(f.Notes, fmt.Sprintf("“%s” ends at %s: one request takes %.1f s.", t.name, curve.Grouped(size), p.Value/1e6))
		}
	}
	if err := s.stop(); err != nil || f.Name != "rows" {
		return err
	}
	return b.starting(ctx, f, size, "start", path, nothing)
}

// questions are what a table of package fill can be asked.
type questions struct {
	rows, users int
	all         []users.User
	api         todo.REST
}

// user picks one.
func (q *questions) user(r *rand.Rand) (number int, token string) {
	number = r.IntN(q.users)
	return number, q.all[number].Token
}

// value picks what ten rows of the user have for a column.
func (q *questions) value(r *rand.Rand, user int, column string) string {
	return fmt.Sprintf("%s-%d", column, user+q.users*r.IntN(q.rows/alike/q.users))
}

func (q *questions) get() *task {
	return &task{name: "get", want: wantRows(1), next: func(r *rand.Rand, b []byte) []byte {
		user, token := q.user(r)
		id := 1 + user + q.users*r.IntN(q.rows/q.users)
		return q.api.ReadOne(b, token, strconv.AppendInt(nil, int64(id), 10))
	}}
}

func (q *questions) list(name string) *task {
	return &task{name: name, want: wantRows(min(page, q.rows/q.users)), next: func(r *rand.Rand, b []byte) []byte {
		_, token := q.user(r)
		return q.api.List(b, token, page)
	}}
}

func (q *questions) listAll(name string) *task {
	return &task{name: name, want: wantRows(page), next: func(_ *rand.Rand, b []byte) []byte {
		return q.api.List(b, users.Auditor, page)
	}}
}

// filter asks for ten of the caller's rows.
func (q *questions) filter(name, column string) *task {
	return &task{name: name, want: wantRows(alike), next: func(r *rand.Rand, b []byte) []byte {
		user, token := q.user(r)
		return q.api.Ask(b, token, fmt.Sprintf("/todo?limit=%d&%s=eq.%s", page, column, q.value(r, user, column)), "")
	}}
}

// filterAll asks for ten rows as one who may read all. Where no index serves, one connection asks: the next would wait.
func (q *questions) filterAll(name, column string) *task {
	t := q.filter(name, column)
	t.next = func(r *rand.Rand, b []byte) []byte {
		user, _ := q.user(r)
		return q.api.Ask(b, users.Auditor, fmt.Sprintf("/todo?limit=%d&%s=eq.%s", page, column, q.value(r, user, column)), "")
	}
	if column == "note" {
		t.conns = 1
	}
	return t
}

// count asks how many rows the caller has, beside the first of them.
func (q *questions) count() *task {
	return &task{name: "list 20, counted", want: wantRows(min(page, q.rows/q.users)), next: func(r *rand.Rand, b []byte) []byte {
		_, token := q.user(r)
		return q.api.Ask(b, token, "/todo?limit="+strconv.Itoa(page), "Prefer: count=exact\r\n")
	}}
}

func (q *questions) create() *task {
	return &task{name: "create", want: wantStatus(201), most: few(q.rows), next: func(r *rand.Rand, b []byte) []byte {
		_, token := q.user(r)
		return q.api.Create(b, token, "buy oat milk, bread and a birthday card for everybody")
	}}
}

// wantRows wants an answer with so many rows.
func wantRows(n int) func(load.Response) error {
	return func(r load.Response) error {
		if got := (todo.REST{}).Rows(r.Body); r.Status != 200 || got != n {
			return fmt.Errorf("want 200 with %d rows, got %d with %d: %.300s", n, r.Status, got, r.Body)
		}
		return nil
	}
}

func wantStatus(status int) func(load.Response) error {
	return func(r load.Response) error {
		if r.Status != status {
			return fmt.Errorf("want %d, got %d: %.300s", status, r.Status, r.Body)
		}
		return nil
	}
}
