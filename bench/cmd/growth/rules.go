package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/capebase/capebase/bench/internal/curve"
)

// measureRules has one resource with more and more rules. Those that hold for everybody are conditions of columns, which
// no row fulfils; those of roles that the caller does not have say the same.
func measureRules(ctx context.Context, b *bed, top int) (*curve.Family, error) {
	f := &curve.Family{Name: "rules", Size: "rules"}
	for _, n := range sizes(1, top) {
		if err := b.measureRuled(ctx, f, n, "", "-rules", strconv.Itoa(n)); err != nil {
			return nil, fmt.Errorf("%d rules: %w", n, err)
		}
	}
	for _, n := range sizes(1, top) {
		if err := b.measureRuled(ctx, f, n, ", others' roles", "-roles", strconv.Itoa(n-1)); err != nil {
			return nil, fmt.Errorf("%d rules of roles: %w", n, err)
		}
	}
	return f, nil
}

func (b *bed) measureRuled(ctx context.Context, f *curve.Family, n int, kind string, arguments ...string) (err error) {
	const users, subscribers = 100, 100
	q := &questions{rows: users * rowsEach, users: users}
	path, err := b.fill(ctx, "rules", q.rows, q.users)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.remove(path)) }()
	s, err := b.open(ctx, path, q.users, arguments...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	q.all = s.users
	for _, t := range []*task{q.get(), q.list("list 20"), q.create()} {
		p, err := s.ask(ctx, &b.options, t)
		if err != nil {
			return err
		}
		at(f, n, t.name+kind, cpuTime, p)
	}
	a, err := s.gather(ctx, subscribers)
	if err != nil {
		return err
	}
	p, err := a.write(ctx, &b.options, "update", 0, a.update)
	at(f, n, "update, seen by 10"+kind, cpuTime, p)
	return errors.Join(err, a.part())
}
