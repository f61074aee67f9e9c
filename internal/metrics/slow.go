package metrics

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	slowText  = 2000 // bytes of a statement in the log
	slowLines = 10   // of the log within slowEvery: a database that is slow with everything must not drown it
	slowEvery = time.Second
)

// slow logs statements that take long.
type slow struct {
	threshold time.Duration // negative: none does
	logger    *slog.Logger

	mu       sync.Mutex
	since    time.Time
	lines    int
	withheld int
}

// is tells whether a statement took long, and logs it: without its arguments, and without its error, which may quote them.
func (l *slow) is(ctx context.Context, s *sqldriver.Statement) bool {
	if l.threshold < 0 || s.Duration < l.threshold {
		return false
	}
	withheld, ok := l.admit(time.Now())
	if !ok {
		return true
	}
	text := s.Query
	if len(text) > slowText {
		text = strings.ToValidUTF8(text[:slowText], "") + "…"
	}
	attributes := []slog.Attr{
		slog.String("statement", text), slog.Duration("duration", s.Duration), slog.Int64("rows", s.Rows),
		slog.Bool("failed", s.Err != nil), slog.String("request", caller.RequestOf(ctx).ID),
	}
	if withheld > 0 {
		attributes = append(attributes, slog.Int("withheld", withheld))
	}
	l.logger.LogAttrs(ctx, slog.LevelWarn, "slow statement", attributes...)
	return true
}

// admit tells whether another line may be logged, and how many were withheld before it.
func (l *slow) admit(now time.Time) (withheld int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= slowEvery {
		l.since, l.lines = now, 0
	}
	if l.lines >= slowLines {
		l.withheld++
		return 0, false
	}
	l.lines++
	withheld, l.withheld = l.withheld, 0
	return withheld, true
}
