package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Rejoin is Install for a program whose journal was replaced by another one: before is the Epoch that it knew. It makes
// no journal where there is none, which is ErrNotInstalled: somebody is taking it away, or bringing back a backup.
//
// A backup has the epoch of what it took the place of. It gets a new one, by which the other nodes notice.
func (j *Journal) Rejoin(ctx context.Context, before string) error {
	epoch, err := j.readEpoch(ctx)
	if err != nil {
		return err
	}
	if epoch == "" {
		return ErrNotInstalled
	}
	if epoch == before {
		if err := j.renew(ctx, epoch); err != nil {
			// Cursors are safe without it, since they carry a nonce, by which the other nodes can notice too.
			j.log.WarnContext(ctx, "journal: it was replaced and keeps its epoch, since this user may not write another one", "error", err)
		}
	}
	if j.options.Fixed {
		err = j.Check(ctx)
	} else {
		err = j.Install(ctx)
	}
	if err != nil {
		return err
	}
	// What else tells of the replacement, such as tables that were made anew, is to come before the new Head.
	if _, err := j.source.changed(ctx); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.source.advance(ctx); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// renew gives the journal a new epoch, unless another process was faster.
func (j *Journal) renew(ctx context.Context, epoch string) error {
	value, _, _ := strings.Cut(epoch, "-") // what follows is not in the table
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	q := engine.NewBuilder(j.db.Dialect())
	q.Write("UPDATE ", j.source.name("meta"), " SET ")
	equal(q, "value", hex.EncodeToString(random))
	q.Write(" WHERE ")
	equal(q, "key", metaEpoch)
	q.Write(" AND ")
	equal(q, "value", value)
	err := j.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		_, err := changes(ctx, c, q)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: a new epoch: %w", err)
	}
	return nil
}

// continuityEvery is how often the tailer looks whether the journal still has what it read, without being told to.
const continuityEvery = 10 * time.Second

// continuity is a tailer's memory of what it read.
type continuity struct {
	// anchor is where the tailer was at the last look: if other entries came in the place of those that it had read, and
	// it has read some of these before it noticed, then its newest mark is good, and this one is not.
	anchor Mark
	looked time.Time
}

// check fails with ErrReplaced when the journal lacks what the tailer read, as a restored backup does.
func (k *continuity) check(ctx context.Context, j *Journal, at Mark) error {
	marks := []Mark{at}
	if k.anchor != at {
		marks = append(marks, k.anchor)
	}
	for _, m := range marks {
		state, _, err := j.stateOf(ctx, m)
		if err != nil {
			return err
		}
		if state == Unknown {
			return ErrReplaced
		}
	}
	k.anchor, k.looked = at, time.Now()
	return nil
}
