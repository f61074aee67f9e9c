package metrics

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/capebase/capebase/internal/observe"
)

// requests counts HTTP requests.
type requests struct {
	total           *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	authentications [4]prometheus.Counter // by observe.Authentication
	asked           *prometheus.CounterVec
	inFlight        atomic.Int64
	gauge           prometheus.GaugeFunc

	adding sync.Mutex // of whoever adds to what follows, which is replaced as a whole
	routes atomic.Pointer[map[string]*route]
}

// route has the children of a route, found without making a key of labels.
type route struct {
	methods [len(methods) + 1]atomic.Pointer[exchanges] // the last is observe.Other's
}

// exchanges are the requests of a route with a method.
type exchanges struct {
	duration func() prometheus.Observer // made when it is first needed: streams have none
	statuses atomic.Pointer[[]answered] // few, so that to look at each is fastest
}

type answered struct {
	status int
	total  prometheus.Counter
}

var methods = [...]string{ //nolint:gochecknoglobals // a table
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

func newRequests() *requests {
	r := &requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: "http", Name: "requests_total",
			Help: "HTTP requests that were answered, streams when they ended, by route template, method and status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "http", Name: "request_duration_seconds", Buckets: durations(),
			Help: "Time until the handler returned, by route template and method; without streams.",
		}, []string{"route", "method"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "authentications_total",
			Help: "Times that the authenticators were asked, by result: ok, anonymous, refused or unavailable.",
		}, []string{"result"}),
	}
	r.gauge = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: "http", Name: "requests_in_flight",
		Help: "HTTP requests that are being answered, without streams.",
	}, func() float64 { return float64(r.inFlight.Load()) })
	for result, name := range map[observe.Authentication]string{
		observe.Accepted: "ok", observe.Anonymous: "anonymous", observe.Refused: "refused", observe.Unavailable: "unavailable",
	} {
		r.authentications[result] = r.asked.WithLabelValues(name)
	}
	r.routes.Store(&map[string]*route{})
	return r
}

func (r *requests) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.total, r.duration, r.asked, r.gauge}
}

// Begin implements observe.Observer.
func (m *Metrics) Begin(ctx context.Context, _ *http.Request, _ *observe.Request) context.Context {
	m.requests.inFlight.Add(1)
	return ctx
}

// Streaming implements observe.Observer.
func (m *Metrics) Streaming(context.Context, *observe.Request) { m.requests.inFlight.Add(-1) }

// End implements observe.Observer.
func (m *Metrics) End(_ context.Context, o *observe.Request) {
	if !o.Stream {
		m.requests.inFlight.Add(-1)
	}
	if !m.enabled.Load() {
		return
	}
	e := m.requests.exchanges(o.Route, o.Method)
	m.requests.answered(e, o).Inc()
	if !o.Stream {
		e.duration().Observe(seconds(o.Duration))
	}
}

// Authenticated implements observe.Observer.
func (m *Metrics) Authenticated(_ context.Context, result observe.Authentication) {
	if m.enabled.Load() {
		m.requests.authentications[result].Inc()
	}
}

// exchanges finds the children of a route's method. Routes are those that were declared, and so are few.
func (r *requests) exchanges(name, method string) *exchanges {
	known := (*r.routes.Load())[name]
	number := slices.Index(methods[:], method)
	if number < 0 {
		number = len(methods)
	}
	if known != nil {
		if e := known.methods[number].Load(); e != nil {
			return e
		}
	}
	r.adding.Lock()
	defer r.adding.Unlock()
	if known = (*r.routes.Load())[name]; known == nil {
		known = &route{}
		all := maps.Clone(*r.routes.Load())
		all[name] = known
		r.routes.Store(&all)
	}
	if e := known.methods[number].Load(); e != nil {
		return e
	}
	e := &exchanges{duration: sync.OnceValue(func() prometheus.Observer { return r.duration.WithLabelValues(name, method) })}
	e.statuses.Store(&[]answered{})
	known.methods[number].Store(e)
	return e
}

// answered finds the counter of a request's status.
func (r *requests) answered(e *exchanges, o *observe.Request) prometheus.Counter {
	status := o.Status
	if status < 100 || status > 599 {
		status = 0
	}
	for _, known := range *e.statuses.Load() {
		if known.status == status {
			return known.total
		}
	}
	name := strconv.Itoa(status)
	if status == 0 {
		name = observe.Other // net/http lets handlers answer up to 999; 0 is what was aborted
	}
	r.adding.Lock()
	defer r.adding.Unlock()
	statuses := *e.statuses.Load()
	i := slices.IndexFunc(statuses, func(a answered) bool { return a.status == status })
	if i < 0 {
		i = len(statuses)
		statuses = append(slices.Clip(statuses), answered{status, r.total.WithLabelValues(o.Route, o.Method, name)})
		e.statuses.Store(&statuses)
	}
	return statuses[i].total
}
