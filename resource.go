package capebase

import (
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/policy"
)

// Resource is a published model.
type Resource[T any] struct {
	Fields *T // never read: its fields' addresses name columns in rules

	cape *Cape
	decl *declaration
}

// Option changes how a model is published.
type Option func(*options)

type options struct {
	path           string
	routes         Route
	create, update reflect.Type
	private        bool
	history        bool
}

// Route is a set of generated routes.
type Route uint16

// The routes.
const (
	List   = Route(rest.List)
	Get    = Route(rest.Get)
	Create = Route(rest.Create)
	Update = Route(rest.Update)
	Delete = Route(rest.Delete)
	// Subscribe is the live changes, over SSE and WebSocket.
	Subscribe = Route(rest.Subscribe)

	allRoutes = List | Get | Create | Update | Delete | Subscribe
)

// declaration is what Publish and Allow recorded, for Start to check.
type declaration struct {
	model   reflect.Type
	fields  reflect.Value // *T
	options options
	rules   []ruleDeclaration
	at      string // file and line of Publish
}

type ruleDeclaration struct {
	action     policy.Action
	conditions []policy.Condition
	at         string
}

// name is how errors speak of the model.
func (d *declaration) name() string { return d.model.String() }

// Publish serves T's table; mistakes are reported by Start with the line of the call.
func Publish[T any](c *Cape, opts ...Option) *Resource[T] {
	fields := new(T)
	d := &declaration{
		model:   reflect.TypeFor[T](),
		fields:  reflect.ValueOf(fields),
		options: options{routes: allRoutes},
		at:      position(),
	}
	for _, option := range opts {
		option(&d.options)
	}
	if d.options.path == "" {
		d.options.path = "/" + strings.ToLower(typeName(d.model))
	}
	c.declare("Publish", func() { c.resources = append(c.resources, d) })
	return &Resource[T]{Fields: fields, cape: c, decl: d}
}

// Path replaces the lower-case type name: "/api/todos" or "todos".
func Path(path string) Option {
	return func(o *options) { o.path = "/" + strings.TrimPrefix(path, "/") }
}

// Only serves no other routes than these.
func Only(r Route) Option {
	return func(o *options) { o.routes = r }
}

// Private publishes a table without any route: it is migrated and journaled, its rules hold in sessions, and OnChange and
// Consume follow it.
func Private() Option {
	return func(o *options) { o.private, o.routes = true, 0 }
}

// History serves the versions of rows, as far as Config.Retention reaches back: GET /todo/{id}/history, ?as_of=<time> on
// GET /todo/{id}, and POST /todo/{id}/revert where Update is served. A caller sees the versions that the rules of now let it
// read, of rows that are gone and of those that it may read now. Each write of the table pays for an index on the journal.
// Keys can be integers, strings, UUIDs, booleans and bytes.
func History() Option {
	return func(o *options) { o.history = true }
}

// CreateAs takes C's fields in POST instead of T's; C is checked against T by Start. Its default tags apply.
func CreateAs[C any]() Option {
	return func(o *options) { o.create = reflect.TypeFor[C]() }
}

// UpdateAs takes U's fields in PATCH instead of T's; U is checked against T by Start.
func UpdateAs[U any]() Option {
	return func(o *options) { o.update = reflect.TypeFor[U]() }
}

// Allow adds a rule: all conditions of one call, any of the calls. With no call nobody has access.
func (r *Resource[T]) Allow(a policy.Action, c policy.Condition, and ...policy.Condition) {
	rule := ruleDeclaration{action: a, conditions: append([]policy.Condition{c}, and...), at: position()}
	r.cape.declare("Allow", func() { r.decl.rules = append(r.decl.rules, rule) })
}

// resolve turns the conditions into a tree over the model's columns.
func (rule *ruleDeclaration) resolve(r predicate.Resolver) (*predicate.Expr, error) {
	if rule.action == 0 || rule.action&^policy.All != 0 {
		return nil, fmt.Errorf("Allow (%s): %d is no action: use policy.Read, Create, Update, Delete, Write or All", rule.at, rule.action)
	}
	args := make([]*predicate.Expr, 0, len(rule.conditions))
	for _, condition := range rule.conditions {
		e, err := predicate.Resolve(condition, r)
		if err != nil {
			return nil, fmt.Errorf("Allow (%s): %w", rule.at, err)
		}
		args = append(args, e)
	}
	return predicate.All(args...), nil
}

// position is the file and line that called the exported function which calls it.
func position() string {
	_, file, line, ok := runtime.Caller(2)
	if !ok {
		return "unknown line"
	}
	return fmt.Sprintf("%s:%d", filepath.Base(file), line)
}
