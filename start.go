package capebase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/migrate"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/internal/store"
	"github.com/capebase/capebase/policy"
)

// published is a checked declaration.
type published struct {
	*declaration
	model          *model.Model
	rules          store.Rules
	create, update *model.Shape
	read           *huma.Schema
}

// Start checks all declarations (one joined error, each with the file and line of its call), migrates under a
// database-wide lock, installs triggers, mounts the routes and runs tailer and consumers; ctx bounds Start alone. To declare anything after Start is a panic. A second
// call does nothing.
func (c *Cape) Start(ctx context.Context) error {
	c.startMu.Lock()
	defer c.startMu.Unlock()
	if c.started.Load() {
		return nil
	}
	if c.life.Err() != nil {
		return errors.New("capebase: Start after Close")
	}
	c.mu.Lock()
	all, err := c.publish()
	c.frozen = err == nil
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.migrate(ctx, models(all)); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	if err := c.install(ctx, models(all)); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	if err := c.registerConsumers(ctx, all); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	if err := c.mount(ctx, all); err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	for _, fn := range c.onStart {
		if err := fn(c.life); err != nil {
			return fmt.Errorf("capebase: OnStart: %w", err)
		}
	}
	c.waker.Store(c.journal)
	c.runLive(all)
	c.runConsumers()
	c.started.Store(true)
	for _, fn := range c.run {
		c.tasks.Go(func() { fn(c.life) })
	}
	return nil
}

func (c *Cape) migrate(ctx context.Context, all []*model.Model) error {
	mode := [...]migrate.Mode{MigrateAll: migrate.All, MigrateOwn: migrate.Own, MigrateNone: migrate.None}[c.config.Migrate]
	return migrate.Run(ctx, c.db, c.gorm, all, mode, c.config.Logger)
}

// publish checks every declaration and reports all mistakes.
func (c *Cape) publish() ([]*published, error) {
	errs := slices.Clone(c.mistakes)
	namer := c.gorm.NamingStrategy
	cache := &sync.Map{}
	var all []*published
	for _, d := range c.resources {
		p, err := c.check(d, namer, cache)
		if err != nil {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): %w", d.name(), d.at, err))
		}
		if p != nil {
			all = append(all, p)
		}
	}
	errs = append(errs, c.conflicts(all)...)
	errs = append(errs, c.checkConsumers()...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("capebase: %w", errors.Join(errs...))
	}
	return all, nil
}

func (c *Cape) check(d *declaration, namer schema.Namer, cache *sync.Map) (*published, error) {
	m, err := model.Parse(d.model, namer, cache)
	if err != nil {
		return nil, err
	}
	p := &published{declaration: d, model: m}
	errs := []error{checkPath(d.options.path)}
	if d.options.routes == 0 || d.options.routes&^allRoutes != 0 {
		errs = append(errs, fmt.Errorf("Only(%d): name routes such as capebase.List|capebase.Get", d.options.routes))
	}
	errs = append(errs, p.resolveRules(), p.shapes(c.api.Huma.OpenAPI().Components.Schemas))
	return p, errors.Join(errs...)
}

// resolveRules joins the rules of each action: any of the calls suffices.
func (p *published) resolveRules() error {
	var errs []error
	resolver := p.model.Resolver(p.fields)
	for i := range p.declaration.rules {
		rule := &p.declaration.rules[i]
		e, err := rule.resolve(resolver)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for action, target := range map[policy.Action]**predicate.Expr{
			policy.Read: &p.rules.Read, policy.Create: &p.rules.Create, policy.Update: &p.rules.Update, policy.Delete: &p.rules.Delete,
		} {
			if rule.action&action != 0 {
				*target = predicate.Any(*target, e)
			}
		}
	}
	return errors.Join(errs...)
}

// shapes derives what POST and PATCH take.
func (p *published) shapes(registry huma.Registry) error {
	read, create, update, err := p.model.Shapes(registry)
	if err != nil {
		return err
	}
	p.read, p.create, p.update = read, create, update
	var errs []error
	if t := p.options.create; t != nil {
		if p.create, err = p.model.Shape(t, registry); err != nil {
			errs = append(errs, fmt.Errorf("CreateAs[%s]: %w", t, err))
		}
	}
	if t := p.options.update; t != nil {
		if p.update, err = p.model.UpdateShape(t, registry); err != nil {
			errs = append(errs, fmt.Errorf("UpdateAs[%s]: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

// builtIn are the first segments of the paths that CapeBase serves itself.
func builtIn() []string {
	return []string{"auth", "audit", "docs", "healthz", "metrics", "openapi.json", "openapi.yaml", "readyz", "subscribe"}
}

// literals are the last segments of generated routes beside {id}, which a key cannot be.
// "/", "." and ".." cannot be asked for: net/http and its clients clean paths.
func literals() []string { return []string{"subscribe", "/", ".", ".."} }

func checkPath(path string) error {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.~", r)
		}) {
			return fmt.Errorf("path %q: expected segments of letters, digits, '-', '_', '.' and '~', such as capebase.Path(\"/todos\")", path)
		}
	}
	if slices.Contains(builtIn(), strings.TrimPrefix(path, "/")) {
		return fmt.Errorf("path %q is one of CapeBase's own (%s): choose another with capebase.Path", path, strings.Join(builtIn(), ", "))
	}
	return nil
}

// conflicts finds two models on one path or one table.
func (c *Cape) conflicts(all []*published) []error {
	var errs []error
	paths, tables := map[string]*published{}, map[string]*published{}
	for _, p := range all {
		if other, taken := paths[p.options.path]; taken {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): path %q is taken by Publish[%s] (%s): give one of them capebase.Path",
				p.name(), p.at, p.options.path, other.name(), other.at))
		}
		paths[p.options.path] = p
		table := strings.ToLower(p.model.Table.Schema + "." + p.model.Table.Name)
		if other, taken := tables[table]; taken {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): table %q is published already by Publish[%s] (%s): a resource is one table",
				p.name(), p.at, p.model.Table.Name, other.name(), other.at))
		}
		tables[table] = p
	}
	return errs
}

func models(all []*published) []*model.Model {
	found := make([]*model.Model, len(all))
	for i, p := range all {
		found[i] = p.model
	}
	return found
}

// mount makes the stores and the routes, and freezes the document.
func (c *Cape) mount(ctx context.Context, all []*published) (err error) {
	defer func() {
		if v := recover(); v != nil { // how ServeMux reports that a route of the user's stands in the way
			err = fmt.Errorf("mounting the routes: %v", v)
		}
	}()
	stores := make([]*store.Store, len(all))
	for i, p := range all {
		if stores[i], err = store.New(ctx, c.db, c.gorm, p.model, p.rules, literals()); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	if c.mounted {
		return nil // by a Start that failed after this
	}
	c.mounted = true
	c.newStreams(all, stores)
	c.api.DocumentSecurity()
	for i, p := range all {
		resource := &rest.Resource{
			Path: p.options.path, Routes: rest.Route(p.options.routes), Store: stores[i],
			Create: p.create, Update: p.update, Read: c.api.File(p.model.Name, p.read),
		}
		if p.options.routes&Subscribe != 0 {
			resource.Subscribe = c.streams.Resource(p.streamName())
		}
		c.api.Mount(resource)
		c.logClosed(p)
	}
	if slices.ContainsFunc(all, func(p *published) bool { return p.options.routes&Subscribe != 0 }) {
		c.api.MountSubscribe(c.streams.Multi())
	}
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
