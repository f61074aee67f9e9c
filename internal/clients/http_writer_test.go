package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// httpWriter writes alice's rows by the program's routes, whatever happens to the program.
type httpWriter struct {
	url string // of the resource

	written map[int64]bool // rows whose creation was answered; false when they were deleted since
	refused int            // requests without an answer of the program's
}

// run creates a row at each tick, and changes and deletes some, until the context ends.
func (w *httpWriter) run(ctx context.Context, every time.Duration) error {
	w.written = map[int64]bool{}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// The end does not break requests off: that would leave more in doubt than the kills do.
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := w.write(limit, ticker, n)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (w *httpWriter) write(ctx context.Context, ticker *time.Ticker, n int) error {
	var made todo
	_, err := request(ctx, http.MethodPost, w.url, map[string]any{"task": fmt.Sprintf("http %d", n)}, &made)
	if err != nil {
		return w.mayGoOn(err) // it may have been committed; another row takes its place
	}
	w.written[made.ID] = true
	path := fmt.Sprintf("%s/%d", w.url, made.ID)
	if n%3 == 0 {
		if err := w.insist(ctx, ticker, http.MethodPatch, path, map[string]any{"is_complete": true}); err != nil {
			return err
		}
	}
	if n%5 == 0 {
		w.written[made.ID] = false
		return w.insist(ctx, ticker, http.MethodDelete, path, nil)
	}
	return nil
}

// insist repeats a write until it is answered; it does the same however often it is done.
func (w *httpWriter) insist(ctx context.Context, ticker *time.Ticker, method, path string, body any) error {
	for again := false; ; again = true {
		_, err := request(ctx, method, path, body, nil)
		var status *statusError
		if again && errors.As(err, &status) && status.status == http.StatusNotFound {
			return nil // the first one deleted it, and was not answered
		}
		if err == nil {
			return nil
		}
		if err := errors.Join(w.mayGoOn(err), ctx.Err()); err != nil {
			return err
		}
		<-ticker.C
	}
}

// mayGoOn tells mistakes from what a program that is not there does to its clients.
func (w *httpWriter) mayGoOn(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.status < http.StatusInternalServerError {
		return err
	}
	w.refused++
	return nil
}
