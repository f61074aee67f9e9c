package capebase

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/audit"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/policy"
)

// AuditEntry is one thing that happened: a change of a row, whoever made it, or an event that was recorded. Hidden fields
// are left out of it, and secret ones were never in the journal.
type AuditEntry = audit.Entry

// AuditActor is who did something, as far as it is known.
type AuditActor = audit.Actor

// AuditQuery says which entries are wanted. The zero AuditQuery is all of them, the newest first.
type AuditQuery = audit.Query

// AuditEvent is what [Cape.Record] records. Who did it is the context's to say.
type AuditEvent = audit.Event

// Audit reads the audit trail: the changes of all published tables, private ones too, and recorded events such as
// sign-ins and refusals. It reaches back as far as [Config].Retention. The context's identity must satisfy
// [Cape.AllowAudit], or the context be [auth.Privileged]; else it yields [ErrPermission]. It yields what was committed
// before it began, reads a few hundred entries at a time and holds no connection in between; its errors end it. That
// AuditQuery.After names an entry that is no longer kept is an error with the code "invalid_query", as is a resource that
// there is not.
//
// Bounds of time go by the times of statements, which the journal has in the order of commits: an entry of a transaction
// that was open for more than an hour may be missing where Since or Until is given.
func (c *Cape) Audit(ctx context.Context, q AuditQuery) iter.Seq2[AuditEntry, error] {
	t := c.trail.Load()
	err := c.admit(ctx)
	switch {
	case err == nil && t == nil:
		err = ErrNotStarted
	case err == nil:
		err = c.mayAudit(ctx)
	}
	if err != nil {
		return func(yield func(AuditEntry, error) bool) { yield(AuditEntry{}, err) }
	}
	return t.All(ctx, &q)
}

// AllowAudit says who may read the audit trail, all of it: all conditions of one call, any of the calls. With no call
// there is no route GET /audit, and [Cape.Audit] takes privileged contexts alone. The conditions are about callers:
// one that names a field fails Start.
func (c *Cape) AllowAudit(cond policy.Condition, and ...policy.Condition) {
	rule := ruleDeclaration{action: policy.Read, conditions: append([]policy.Condition{cond}, and...), at: position()}
	c.declare("AllowAudit", func() { c.auditRules = append(c.auditRules, rule) })
}

// Record adds an event to the audit trail that is no change of a row, such as an export. Who did it is what the context
// says: identity, request, privilege. It is written in a transaction of its own, and stays when that of the context is
// rolled back; where the context has a transaction, or the event may fold, Record does not wait for it: the event is
// written within a second or so, also when Close is called, but lost if the process is killed before. At most 10,000
// events wait; then the error has the code "unavailable".
//
// A transaction that was begun by [Cape.SQL] and is not in the context is unknown here: on SQLite, an event that is
// recorded while it writes waits for [Limits].WriteWait and fails.
func (c *Cape) Record(ctx context.Context, e AuditEvent) error {
	if err := c.admit(ctx); err != nil {
		return err
	}
	r := c.recorder.Load()
	if r == nil {
		return ErrNotStarted
	}
	if err := r.Record(ctx, e); err != nil {
		return c.report(ctx, err)
	}
	return nil
}

// auditing is what the audit trail needs.
type auditing struct {
	auditRules []ruleDeclaration
	auditRule  *predicate.Expr // nil: closed
	events     *model.Model    // of the table of events
	trail      atomic.Pointer[audit.Trail]
	recorder   atomic.Pointer[audit.Recorder]
	tables     map[string]string // resources by their tables' names; set before trail
	paths      map[string]string // resources by their paths
}

// columnless resolves conditions that are about callers.
type columnless struct{}

var errColumn = errors.New("a condition of AllowAudit names a field, but the audit trail has no row to ask: use policy.Role, policy.SignedIn or policy.Anyone")

// Column implements predicate.Resolver.
func (columnless) Column(any) (int, predicate.Kind, error) { return 0, predicate.Null, errColumn }

// Value implements predicate.Resolver.
func (columnless) Value(int, any) (predicate.Value, error) { return predicate.Value{}, errColumn }

// checkAudit resolves the rule.
func (c *Cape) checkAudit() error {
	var errs []error
	c.auditRule = nil
	for i := range c.auditRules {
		rule := &c.auditRules[i]
		e, err := rule.resolve(columnless{})
		if err != nil {
			errs = append(errs, fmt.Errorf("AllowAudit: %w", err))
			continue
		}
		c.auditRule = predicate.Any(c.auditRule, e)
	}
	return errors.Join(errs...)
}

// mayAudit tells why the context's caller may not read the trail.
func (c *Cape) mayAudit(ctx context.Context) error {
	if _, privileged := caller.Privilege(ctx); privileged {
		return nil
	}
	id := auth.From(ctx)
	if c.auditRule != nil {
		if predicate.Fold(c.auditRule, predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}).Op == predicate.True {
			return nil
		}
	}
	return problem.New(problem.Permission, "the rules do not allow to read the audit trail")
}

// prepareAudit makes the trail and the recorder.
func (c *Cape) prepareAudit(all []*published) {
	c.tables, c.paths = map[string]string{}, map[string]string{}
	resources := make([]audit.Resource, len(all))
	for i, p := range all {
		resources[i] = audit.Resource{Name: p.streamName(), Model: p.model}
		if p.options.private {
			resources[i].Name = ""
		} else {
			c.paths[p.options.path] = p.streamName()
		}
		c.tables[resources[i].Table()] = resources[i].Called()
	}
	t := audit.NewTrail(func() *journal.Journal { return c.live.Load().journal }, resources)
	c.recorder.Store(audit.NewRecorder(c.db, t, c.config.Logger))
	c.trail.Store(t)
}

// mountAudit adds the route, if anybody may use it.
func (c *Cape) mountAudit() {
	if c.auditRule == nil {
		return
	}
	h := &audit.Handler{
		Trail: c.trail.Load(), Fail: c.api.Fail, Limit: c.config.Limits.Page, MaxLimit: c.config.Limits.MaxPage,
		May: func(r *http.Request) error { return c.mayAudit(r.Context()) },
		Log: func(r *http.Request, err error) {
			c.config.Logger.ErrorContext(r.Context(), "an export of the audit trail broke off", "error", err, "request", caller.RequestOf(r.Context()).ID)
		},
	}
	var parameters []rest.AuditParameter
	for _, p := range h.Parameters() {
		parameters = append(parameters, rest.AuditParameter(p))
	}
	c.api.MountAudit(h, reflect.TypeFor[audit.PageBody](), parameters)
}

// refusedKind is the kind of the events of refusals.
const refusedKind = "refused"

// refused records that a caller was refused what it asked for, once where several places tell of it. Equal refusals of a
// caller are folded: whoever asks all the time does not make as many writes.
func (c *Cape) refused(ctx context.Context, route string, e *problem.Error) {
	r := c.recorder.Load()
	if r == nil {
		return
	}
	event := AuditEvent{Kind: refusedKind, Detail: map[string]string{}, Fold: true}
	if refusal := e.Refusal(); refusal != nil {
		if !refusal.Note() {
			return
		}
		event.Resource = c.tables[refusal.Table]
		event.Detail["action"] = refusal.Action
	}
	if route != "" {
		event.Detail["route"] = route
		if event.Resource == "" {
			event.Resource = c.resourceOf(route)
		}
	}
	if err := r.Record(ctx, event); err != nil {
		c.config.Logger.WarnContext(ctx, "a refusal could not be recorded", "error", err)
	}
}

// resourceOf finds the resource that a route's pattern is of; "" where it is none's.
func (c *Cape) resourceOf(route string) string {
	_, path, _ := strings.Cut(route, " ")
	path, _, _ = strings.Cut(strings.TrimPrefix(path, c.config.BasePath), "/{")
	for {
		if name, known := c.paths[path]; known {
			return name
		}
		cut := strings.LastIndexByte(path, '/')
		if cut <= 0 {
			return ""
		}
		path = path[:cut]
	}
}

// refusedSession records what a session of the developer's code was refused.
func (c *Cape) refusedSession(ctx context.Context, err error) {
	var e *problem.Error
	if errors.As(err, &e) && e.Code == problem.Permission && e.Refusal() != nil {
		c.refused(ctx, "", e)
	}
}

// recordEvents writes what Record does not wait for, until ctx ends.
func (c *Cape) recordEvents(ctx context.Context) {
	c.recorder.Load().Run(ctx)
}

// journaled are the tables that the journal follows: the published ones, and that of the audit trail's events.
func (c *Cape) journaled(all []*published) []*model.Model { return append(models(all), c.events) }
