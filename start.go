package capebase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/migrate"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/internal/store"
)

// Start checks all declarations (one joined error, each with the file and line of its call), migrates under a
// database-wide lock, installs triggers, mounts the routes and runs tailer and consumers; ctx bounds Start alone. To
// declare anything after Start is a panic. A second call does nothing; after an error Start may be tried again, and runs
// all functions of OnStart again.
func (c *Cape) Start(ctx context.Context) error {
	c.startMu.Lock()
	defer c.startMu.Unlock()
	if c.started.Load() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	if c.closing.Err() != nil {
		return errors.New("capebase: Start after Close")
	}
	c.mu.Lock()
	all, err := c.publish()
	if err == nil {
		c.frozen, c.published = true, all
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.begin(ctx, all); err != nil {
		c.guard.Store(nil) // sessions come with a Start that succeeds
		return err
	}
	c.runLive(all)
	c.runConsumers()
	c.tasks.Go(func() { c.refreshGuard(c.life) })
	c.tasks.Go(func() { c.recordEvents(c.life) })
	c.started.Store(true)
	for _, fn := range c.run {
		c.tasks.Go(func() { fn(c.life) })
	}
	return nil
}

// begin prepares what Start promises, up to the functions of OnStart.
func (c *Cape) begin(ctx context.Context, all []*published) error {
	if err := c.prepare(ctx, all); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	for _, fn := range c.onStart {
		if err := fn(c.life); err != nil {
			return fmt.Errorf("capebase: OnStart: %w", err)
		}
	}
	if c.closing.Err() != nil {
		return errors.New("capebase: Close during Start")
	}
	return nil
}

// prepare brings the database and the routes into the state that the declarations ask for.
func (c *Cape) prepare(ctx context.Context, all []*published) error {
	if err := c.migrate(ctx, models(all)); err != nil {
		return err
	}
	if err := c.install(ctx, all); err != nil {
		return err
	}
	if err := c.registerConsumers(ctx, all); err != nil {
		return err
	}
	if err := c.mount(ctx, all); err != nil {
		return err
	}
	return c.protect(ctx, all)
}

func (c *Cape) migrate(ctx context.Context, all []*model.Model) error {
	mode := [...]migrate.Mode{MigrateAll: migrate.All, MigrateOwn: migrate.Own, MigrateNone: migrate.None}[c.config.Migrate]
	return migrate.Run(ctx, c.db, c.internalGorm(ctx), all, mode, c.config.Logger)
}

func models(all []*published) []*model.Model {
	found := make([]*model.Model, len(all))
	for i, p := range all {
		found[i] = p.model
	}
	return found
}

// withHistory lists the numbers of those whose rows' versions are served.
func withHistory(all []*published) []int {
	var found []int
	for i, p := range all {
		if p.options.history {
			found = append(found, i)
		}
	}
	return found
}

// mount makes the stores and the routes, and freezes the document.
func (c *Cape) mount(ctx context.Context, all []*published) (err error) {
	if c.mounted {
		return c.mountErr
	}
	defer func() {
		if v := recover(); v != nil { // how ServeMux reports that a route of the user's stands in the way
			err = fmt.Errorf("mounting the routes: %v", v)
		}
		if c.mounted {
			c.mountErr = err
		}
	}()
	triggers, err := store.HasTriggers(ctx, c.db)
	if err != nil {
		return err
	}
	stores := make([]*store.Store, len(all))
	for i, p := range all {
		if stores[i], err = store.New(ctx, c.db, c.gorm, p.model, p.rules, literals(), triggers); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
		stores[i].Tracer = c.config.Tracer
	}
	c.mounted = true
	c.nameTables(all)
	c.prepareAudit(all)
	c.newStreams(all, stores)
	c.api.DocumentSecurity()
	for i, p := range all {
		if p.options.private {
			continue
		}
		resource := &rest.Resource{
			Path: p.options.path, Routes: rest.Route(p.options.routes), Store: stores[i],
			Create: p.create, Update: p.update, Read: c.api.File(p.model.Name, p.read),
		}
		if p.options.history {
			resource.History = &rest.History{Table: i, Journal: func() *journal.Journal { return c.live.Load().journal }}
		}
		if p.options.routes&Subscribe != 0 {
			resource.Subscribe = c.streams.Resource(p.streamName())
		}
		c.api.Mount(resource)
		c.logClosed(p)
		c.warnOfHooks(p)
	}
	if slices.ContainsFunc(all, func(p *published) bool { return p.options.routes&Subscribe != 0 }) {
		c.api.MountSubscribe(c.streams.Multi())
	}
	c.mountAudit()
	return c.api.Document()
}

// logClosed tells what nobody may do: a model without a rule is closed, which may be an oversight.
func (c *Cape) logClosed(p *published) {
	rules := map[string]*predicate.Expr{"read": p.rules.Read, "create": p.rules.Create, "update": p.rules.Update, "delete": p.rules.Delete}
	maps.DeleteFunc(rules, func(_ string, e *predicate.Expr) bool { return e != nil })
	if len(rules) > 0 {
		c.config.Logger.Info("no rule allows these actions", "model", p.name(), "actions", slices.Sorted(maps.Keys(rules)), "declared", p.at)
	}
}

// warnOfHooks names what is not called: generated routes and streams show rows as they are stored.
func (c *Cape) warnOfHooks(p *published) {
	if p.model.Hooks&model.AfterFind != 0 {
		c.config.Logger.Warn("AfterFind does not run on generated routes and streams: they show rows as they are stored", "model", p.name(), "declared", p.at)
	}
}
