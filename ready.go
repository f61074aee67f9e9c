package capebase

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/capebase/capebase/internal/rest"
	"github.com/capebase/capebase/internal/sqldriver"
)

const (
	// readyWait bounds what /readyz waits for the database.
	readyWait = 2 * time.Second
	// tailerPatience is how long the tailer may fail before this process counts as not ready: a restart of the database
	// is not worth being taken out of service for, once it is over.
	tailerPatience = 5 * time.Second
)

// ready tells the state of the parts. Anybody may read it: it says what is wrong in a word or two, and the log says why,
// once for each change.
func (c *Cape) ready(ctx context.Context) []rest.Part {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	parts := []rest.Part{c.databasePart(ctx), {Name: "journal"}, {Name: "tailer"}}
	h := c.live.Load()
	health := h.journal.Health()
	if err := c.liveFailure(); err != nil {
		parts[1] = rest.Part{Name: "journal", State: "replaced by another one that cannot be read yet", Down: true, Cause: err}
	} else if health.Unrecorded != nil {
		// No process would be any better off: this one goes on serving.
		parts[1] = rest.Part{Name: "journal", State: "does not record all changes", Cause: health.Unrecorded}
	}
	if health.Failing != nil && health.For > tailerPatience {
		parts[2] = rest.Part{Name: "tailer", State: "cannot read the journal", Down: true, Cause: health.Failing}
	}
	c.logReady(parts)
	return parts
}

func (c *Cape) databasePart(ctx context.Context) rest.Part {
	part := rest.Part{Name: "database"}
	err := c.db.Ping(ctx)
	switch {
	case err == nil:
		return part
	case errors.Is(err, sqldriver.ErrBusy):
		part.State = "all connections are in use"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		part.State = "does not answer in time"
	default:
		part.State = "cannot be reached"
	}
	part.Down, part.Cause = true, err
	return part
}

// logReady logs a part's state when it is another one than at the last look.
func (c *Cape) logReady(parts []rest.Part) {
	for i, part := range parts {
		last := c.said[i].Swap(&part.State)
		switch {
		case last == nil && part.State == "", last != nil && *last == part.State:
		case part.State == "":
			c.config.Logger.Info("readiness: "+part.Name+" is well again", "was", *last)
		default:
			level := slog.LevelWarn
			if part.Down {
				level = slog.LevelError
			}
			c.config.Logger.Log(context.Background(), level, "readiness: "+part.Name+" "+part.State, "error", part.Cause)
		}
	}
}
