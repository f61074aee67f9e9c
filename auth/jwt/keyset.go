package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// maxKeySet bounds the bytes of a key set.
const maxKeySet = 512 << 10

// errUnavailable: whether a token is valid cannot be told now.
var errUnavailable = errors.New("jwt: the issuer's keys are not available")

var errUnknownKey = errors.New("jwt: the token names a key that the issuer does not have")

// keySet keeps the keys that an issuer publishes. A request waits for a fetch only where it needs a key that is not
// known; keys that are due for a refresh are fetched beside the requests.
type keySet struct {
	url                       string
	client                    *http.Client
	refresh, refetch, timeout time.Duration
	logger                    *slog.Logger

	mu      sync.Mutex
	keys    []key         // of the last fetch that succeeded
	fetched time.Time     // when it ended
	tried   time.Time     // when the last fetch ended; zero before the first
	failure error         // of the last fetch
	running chan struct{} // closed when the fetch under way ends; nil where none is
}

func newKeySet(c Config) *keySet {
	return &keySet{
		url: c.KeySet, client: c.Client, refresh: c.Refresh, refetch: c.Refetch, timeout: c.Timeout, logger: c.Logger,
	}
}

// find returns the keys of an id, or all keys for a token that names none. An id that is not known may be that of a new
// key: the set is fetched anew, unless that was done a moment ago.
func (s *keySet) find(ctx context.Context, id string) ([]key, error) {
	keys, wait, err := s.look(id, true)
	if wait == nil {
		return keys, err
	}
	select {
	case <-wait:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
	keys, _, err = s.look(id, false)
	return keys, err
}

// look answers from what is known. Where that is not enough and a fetch is under way or may begin, wait ends with it.
func (s *keySet) look(id string, mayFetch bool) (keys []key, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if id == "" || k.id == id {
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		if mayFetch && time.Since(s.fetched) >= s.refresh {
			s.begin()
		}
		return keys, nil, nil
	}
	if mayFetch {
		if wait := s.begin(); wait != nil {
			return nil, wait, nil
		}
	}
	if s.failure != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUnavailable, s.failure)
	}
	return nil, nil, errUnknownKey
}

// begin starts a fetch, unless one is under way or ended a moment ago, and returns what ends with it. The lock is held.
func (s *keySet) begin() <-chan struct{} {
	pause := s.refetch
	if s.failure != nil {
		pause = min(pause, retry)
	}
	if s.running == nil && (s.tried.IsZero() || time.Since(s.tried) >= pause) {
		ended := make(chan struct{})
		s.running = ended
		go func() {
			defer close(ended)
			s.fetch()
		}()
	}
	return s.running
}

// fetch belongs to no request: others wait for it too.
func (s *keySet) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	keys, skipped, err := s.get(ctx)
	if err != nil {
		s.logger.WarnContext(ctx, "the keys of an issuer of tokens could not be fetched", "url", redacted(s.url), "error", err)
	} else if skipped > 0 {
		s.logger.WarnContext(ctx, "some keys of an issuer of tokens cannot be used", "url", redacted(s.url), "keys", skipped)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.tried, s.failure = nil, time.Now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.tried
	}
}

func (s *keySet) get(ctx context.Context) (keys []key, skipped int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil) //nolint:gosec // the URL is a setting
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(r) //nolint:gosec // likewise
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %s", response.Status)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	if len(document) > maxKeySet {
		return nil, 0, fmt.Errorf("the document is longer than %d bytes", maxKeySet)
	}
	return parseKeySet(document)
}

// redacted is a URL for the log.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
