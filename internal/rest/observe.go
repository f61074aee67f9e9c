package rest

import (
	"bufio"
	"context"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/observe"
)

// observation is a request that is being answered, and the writer that notes how.
type observation struct {
	http.ResponseWriter
	observe.Request
	api     *API
	ctx     context.Context
	answers bool // the status is decided
	done    bool // the handler returned
}

// observed serves a request and tells of it, once: the observers first, and then the log.
func (a *API) observed(w http.ResponseWriter, r *http.Request, serve func(a *API, o *observation, w http.ResponseWriter, r *http.Request)) {
	o, r := a.observe(w, r)
	defer o.end()
	serve(a, o, o.writer(), r)
	o.done = true
}

// observe begins an observation. It is not part of observed, whose frame is on the stack of each stream that is open.
func (a *API) observe(w http.ResponseWriter, r *http.Request) (*observation, *http.Request) {
	r = a.withRequest(r)
	o := &observation{ResponseWriter: w, api: a, ctx: r.Context()}
	o.Request = observe.Request{
		ID: caller.RequestOf(o.ctx).ID, Method: observe.Method(r.Method), Path: r.URL.Path, Began: time.Now(), Route: observe.Unrouted,
	}
	for _, observer := range a.Observers {
		o.ctx = observer.Begin(o.ctx, r, &o.Request)
	}
	if o.Trace != "" {
		request := caller.RequestOf(o.ctx)
		request.Trace = o.Trace
		o.ctx = caller.WithRequest(o.ctx, request)
	}
	if o.ctx != r.Context() {
		r = r.WithContext(o.ctx)
	}
	w.Header()["X-Request-Id"] = []string{o.ID}
	return o, r
}

// end is called on the way out, also by a panic.
func (o *observation) end() {
	o.Duration = time.Since(o.Began)
	o.Aborted = !o.done
	if o.Status == 0 && o.done {
		o.Status = http.StatusOK // what net/http answers for a handler that said nothing
	}
	for _, observer := range o.api.Observers {
		observer.End(o.ctx, &o.Request)
	}
	o.api.log(o.ctx, &o.Request)
}

// observationOf finds the observation behind a writer, however often that was wrapped; nil for a writer of others.
func observationOf(w http.ResponseWriter) *observation {
	for {
		switch known := w.(type) {
		case interface{ observed() *observation }:
			return known.observed()
		case interface{ Unwrap() http.ResponseWriter }:
			w = known.Unwrap()
		default:
			return nil
		}
	}
}

// Quiet marks the request that w answers as a probe: its line is for debugging only.
func Quiet(w http.ResponseWriter) {
	if o := observationOf(w); o != nil {
		o.Quiet = true
	}
}

// noteIdentity tells the request's observation who is calling.
func noteIdentity(w http.ResponseWriter, id string) {
	if o := observationOf(w); o != nil {
		o.Identity = id
	}
}

// begin notes how the request is answered; the headers are complete.
func (o *observation) begin(status int) {
	o.answers, o.Status = true, status
	stream := status == http.StatusSwitchingProtocols
	if kinds := o.Header()["Content-Type"]; !stream && len(kinds) > 0 && len(kinds[0]) >= len(eventStream) {
		kind, _, err := mime.ParseMediaType(kinds[0])
		stream = err == nil && kind == eventStream
	}
	if stream {
		o.streams()
	}
}

const eventStream = "text/event-stream"

func (o *observation) streams() {
	o.Stream = true
	for _, observer := range o.api.Observers {
		observer.Streaming(o.ctx, &o.Request)
	}
}

// WriteHeader implements http.ResponseWriter.
func (o *observation) WriteHeader(status int) {
	if !o.answers && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		o.begin(status)
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (o *observation) Write(p []byte) (int, error) {
	if !o.answers {
		o.begin(http.StatusOK)
	}
	return o.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter, as net/http's own writer does.
func (o *observation) WriteString(s string) (int, error) {
	if !o.answers {
		o.begin(http.StatusOK)
	}
	return io.WriteString(o.ResponseWriter, s)
}

// Unwrap is for http.ResponseController.
func (o *observation) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observation) observed() *observation { return o }

// writer returns the observation with those of net/http's further abilities that its writer has: handlers ask by type.
func (o *observation) writer() http.ResponseWriter {
	_, flushes := o.ResponseWriter.(http.Flusher)
	_, hijacks := o.ResponseWriter.(http.Hijacker)
	_, reads := o.ResponseWriter.(io.ReaderFrom)
	switch {
	case flushes && hijacks && reads:
		return connectionWriter{flushingWriter{o}}
	case flushes:
		return flushingWriter{o}
	}
	return o
}

// flushingWriter is what HTTP/2 and tests have.
type flushingWriter struct{ *observation }

// Flush implements http.Flusher.
func (w flushingWriter) Flush() { _ = w.FlushError() }

// FlushError is asked for by http.ResponseController.
func (w flushingWriter) FlushError() error {
	if !w.answers {
		w.begin(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// connectionWriter is what HTTP/1.1 has.
type connectionWriter struct{ flushingWriter }

// Hijack implements http.Hijacker.
func (w connectionWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && !w.answers {
		w.begin(http.StatusSwitchingProtocols)
	}
	return conn, buffers, err
}

// ReadFrom implements io.ReaderFrom, by which files are sent without being copied.
func (w connectionWriter) ReadFrom(src io.Reader) (int64, error) {
	if !w.answers {
		w.begin(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, src)
}
