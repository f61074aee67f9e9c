package capebase

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
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

// publish checks every declaration and reports all mistakes. What a Start has found good stays as it is.
func (c *Cape) publish() ([]*published, error) {
	if c.frozen {
		return c.published, nil
	}
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
	errs = append(errs, c.checkAudit())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("capebase: %w", err)
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
	if (d.options.routes == 0) != d.options.private || d.options.routes&^allRoutes != 0 {
		errs = append(errs, fmt.Errorf("Only(%d): name routes such as capebase.List|capebase.Get", d.options.routes))
	}
	errs = append(errs, p.checkHistory(), p.resolveRules(), p.shapes(c.api.Huma.OpenAPI().Components.Schemas))
	return p, errors.Join(errs...)
}

// checkHistory tells why versions of rows cannot be served.
func (p *published) checkHistory() error {
	if !p.options.history {
		return nil
	}
	if p.options.private {
		return errors.New("History(): a table that is Private() has no routes; remove one of them")
	}
	for _, column := range p.model.Table.Key {
		if kind := p.model.Table.Columns[column].Kind; !journal.HistoryKey(kind) {
			return fmt.Errorf("History(): the journal finds no rows by a key of kind %s: use an integer, a string or a UUID", kind)
		}
	}
	return nil
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
	tables := map[string]*published{}
	for _, p := range all {
		table := strings.ToLower(p.model.Table.Schema + "." + p.model.Table.Name)
		if other, taken := tables[table]; taken {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): table %q is published already by Publish[%s] (%s): a resource is one table",
				p.name(), p.at, p.model.Table.Name, other.name(), other.at))
		}
		tables[table] = p
	}
	served := slices.DeleteFunc(slices.Clone(all), func(p *published) bool { return p.options.private })
	return append(append(errs, samePaths(served)...), hiddenPaths(served)...)
}

func samePaths(all []*published) []error {
	var errs []error
	paths := map[string]*published{}
	for _, p := range all {
		if other, taken := paths[p.options.path]; taken {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): path %q is taken by Publish[%s] (%s): give one of them capebase.Path",
				p.name(), p.at, p.options.path, other.name(), other.at))
		}
		paths[p.options.path] = p
	}
	return errs
}

// hiddenPaths finds a path that another resource's keys would have, and two that streams would call the same.
func hiddenPaths(all []*published) []error {
	var errs []error
	streams := map[string]*published{}
	for _, p := range all {
		for _, other := range all {
			rest, below := strings.CutPrefix(p.options.path, other.options.path+"/")
			if key, last, deeper := strings.Cut(rest, "/"); below && deeper && other.options.history && (last == "history" || last == "revert") {
				errs = append(errs, fmt.Errorf("Publish[%s] (%s): path %q is that of the history of the key %q of Publish[%s] (%s): choose another with capebase.Path",
					p.name(), p.at, p.options.path, key, other.name(), other.at))
			}
			if below && !strings.Contains(rest, "/") {
				errs = append(errs, fmt.Errorf("Publish[%s] (%s): path %q is that of the key %q of Publish[%s] (%s): choose another with capebase.Path",
					p.name(), p.at, p.options.path, rest, other.name(), other.at))
			}
		}
		if other, taken := streams[p.streamName()]; taken && other.options.path != p.options.path {
			errs = append(errs, fmt.Errorf("Publish[%s] (%s): streams call its path %q, as that of Publish[%s] (%s): choose another with capebase.Path",
				p.name(), p.at, p.streamName(), other.name(), other.at))
		}
		streams[p.streamName()] = p
	}
	return errs
}
