package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/todo"
)

// measureResources has more and more tables, each of a type of its own, with two indexes and the owner rule.
func measureResources(ctx context.Context, b *bed, top int) (*curve.Family, error) {
	f := &curve.Family{Name: "resources", Size: "resources"}
	for _, n := range sizes(1, top) {
		if err := b.measureParts(ctx, f, n); err != nil {
			return nil, fmt.Errorf("%d resources: %w", n, err)
		}
		b.log.Info("measured", "resources", n)
	}
	return f, nil
}

func (b *bed) measureParts(ctx context.Context, f *curve.Family, n int) (err error) {
	path, argument := b.file("resources"), []string{"-resources", strconv.Itoa(n)}
	defer func() { err = errors.Join(err, b.remove(path)) }()
	if err := b.starting(ctx, f, n, "first start", path, func() error { return b.remove(path) }, argument...); err != nil {
		return err
	}
	if err := b.starting(ctx, f, n, "later start", path, nothing, argument...); err != nil {
		return err
	}
	s, err := b.open(ctx, path, connections, argument...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	memory, err := s.process.Memory()
	if err != nil {
		return err
	}
	const mebi = 1 << 20
	at(f, n, "heap and stacks", heap, summed([]float64{float64(memory.InUse) / mebi}))
	return s.measureParts(ctx, &b.options, f, n)
}

// measureParts asks for what one table has, and for what all have.
func (s *site) measureParts(ctx context.Context, o *options, f *curve.Family, n int) error {
	token := s.users[0].Token
	for part := range n {
		response, err := s.conns[0].Do(s.api.CreateIn(nil, token, todo.Part(part), "buy oat milk, bread and a birthday card"))
		if err == nil {
			err = wantStatus(201)(response)
		}
		if err != nil {
			return err
		}
	}
	get := func(part int) func(b []byte) []byte {
		return func(b []byte) []byte { return s.api.Ask(b, token, "/"+todo.Part(part)+"/1", "") }
	}
	tasks := []*task{
		{name: "get of one", want: wantRows(1), next: func(_ *rand.Rand, b []byte) []byte { return get(n / 2)(b) }},
		{name: "get of any", want: wantRows(1), next: func(r *rand.Rand, b []byte) []byte { return get(r.IntN(n))(b) }},
		{name: "create in one", want: wantStatus(201), next: func(_ *rand.Rand, b []byte) []byte {
			return s.api.CreateIn(b, token, todo.Part(n/2), "buy oat milk")
		}},
		{name: "create in any", want: wantStatus(201), next: func(r *rand.Rand, b []byte) []byte {
			return s.api.CreateIn(b, token, todo.Part(r.IntN(n)), "buy oat milk")
		}},
	}
	for _, t := range tasks {
		p, err := s.ask(ctx, o, t)
		if err != nil {
			return err
		}
		at(f, n, t.name, cpuTime, p)
	}
	return nil
}
