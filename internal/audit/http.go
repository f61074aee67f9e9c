package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Handler serves the trail.
type Handler struct {
	Trail           *Trail
	May             func(r *http.Request) error // why the caller may not read the trail
	Fail            func(w http.ResponseWriter, r *http.Request, err error)
	Log             func(r *http.Request, err error) // what cannot be told to the client any more
	Limit, MaxLimit int                              // of a page
	WriteTimeout    time.Duration                    // for the client to take a part of an export; default 30 s
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.May(r); err != nil {
		h.Fail(w, r, err)
		return
	}
	q, format, err := h.parse(r)
	if err == nil && format == "json" {
		err = h.page(w, r, q)
	} else if err == nil {
		err = h.export(w, r, q, format)
	}
	if err != nil {
		h.Fail(w, r, err)
	}
}

// PageBody is the answer's body.
type PageBody struct {
	Entries []Entry    `json:"entries" nullable:"false" doc:"May be empty although there are more: then next is there."`
	Next    string     `json:"next,omitempty" doc:"Where the next page begins after; absent on the last one."`
	Floor   *time.Time `json:"reaches_back_to,omitempty" doc:"Of the oldest entry that is kept."`
}

func (h *Handler) page(w http.ResponseWriter, r *http.Request, q *Query) error {
	limit := h.Limit
	if q.Limit > 0 {
		limit = min(q.Limit, h.MaxLimit)
	}
	q.Limit = 0
	p, err := h.Trail.Page(r.Context(), q, limit)
	if err != nil {
		return err
	}
	answer := PageBody{Entries: p.Entries, Next: p.Next}
	if !p.Floor.IsZero() {
		answer.Floor = &p.Floor
	}
	body, err := json.Marshal(&answer)
	if err != nil {
		return err
	}
	header(w, "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
	return nil
}

func header(w http.ResponseWriter, kind string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// encoder writes the entries of an export.
type encoder interface {
	begin() error
	entry(e *Entry) error
	flush() error
}

// export streams all that the query wants. It returns an error while the answer has not begun; after that it can only
// break off, so that nobody takes a part for the whole.
func (h *Handler) export(w http.ResponseWriter, r *http.Request, q *Query, format string) error {
	out := &patient{w: w, control: http.NewResponseController(w), timeout: h.WriteTimeout}
	if out.timeout <= 0 {
		out.timeout = 30 * time.Second
	}
	const chunk = 32 << 10
	buffer := bufio.NewWriterSize(out, chunk)
	var enc encoder
	kind, name := "text/csv; charset=utf-8; header=present", "audit.csv"
	if format == formatNDJSON {
		enc, kind, name = &lineEncoder{w: buffer, json: json.NewEncoder(buffer)}, "application/x-ndjson", "audit.ndjson"
	} else {
		enc = newCSV(buffer)
	}
	begun := false
	begin := func() error {
		begun = true
		header(w, kind)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		return enc.begin()
	}
	if r.Method == http.MethodHead {
		return begin()
	}
	err := func() error {
		for e, err := range h.Trail.All(r.Context(), q) {
			if err == nil && !begun {
				err = begin()
			}
			if err == nil {
				err = enc.entry(&e)
			}
			if err != nil {
				return err
			}
		}
		if !begun { // there is nothing to tell
			if err := begin(); err != nil {
				return err
			}
		}
		return enc.flush()
	}()
	if err == nil || !begun {
		return err
	}
	if r.Context().Err() == nil && !errors.Is(err, errGone) {
		h.Log(r, err)
	}
	panic(http.ErrAbortHandler)
}

// errGone says that the client does not take what is sent.
var errGone = errors.New("audit: the client does not take what is sent")

// patient writes parts, each within a time.
type patient struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
}

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	// Where a middleware's writer has no deadlines, the server's own has to do.
	if err := p.control.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, errGone
	}
	n, err := p.w.Write(b)
	if err != nil {
		return n, errors.Join(errGone, err)
	}
	return n, nil
}

// lineEncoder writes a JSON object a line.
type lineEncoder struct {
	w    *bufio.Writer
	json *json.Encoder
}

func (l *lineEncoder) begin() error         { return nil }
func (l *lineEncoder) entry(e *Entry) error { return l.json.Encode(e) }
func (l *lineEncoder) flush() error         { return l.w.Flush() }
