package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// decode makes an entry of a record. What cannot be read (a newer format, an image that does not fit the model) is a
// gap of its table, so that nobody takes a hole for a whole.
func (j *Journal) decode(ctx context.Context, r *record, e *Entry) {
	*e = Entry{
		Mark: r.mark, Source: r.source, Tx: r.tx, Time: r.at, Table: AllTables, Name: r.table, Key: r.key,
		Actor: j.decodeActor(ctx, r), User: r.user,
	}
	t := j.byName[strings.ToLower(r.table)]
	if t != nil {
		e.Table = t.index
	}
	if err := j.decodeImages(t, r, e); err != nil {
		e.Op, e.Before, e.After = Gap, nil, nil
		j.log.ErrorContext(ctx, "journal: an entry cannot be read; subscribers of its table start again",
			"position", r.mark.Position, "table", r.table, "error", err)
	}
}

func (j *Journal) decodeImages(t *table, r *record, e *Entry) (err error) {
	if r.format > format {
		return fmt.Errorf("it has format %d, and this program knows %d", r.format, format)
	}
	switch r.op {
	case 'I':
		e.Op = Insert
	case 'U':
		e.Op = Update
	case 'D':
		e.Op = Delete
	case 'G':
		e.Op = Gap
		return nil
	default:
		return fmt.Errorf("it has the operation %q", r.op)
	}
	if t == nil {
		return nil
	}
	d := j.db.Dialect()
	if e.Before, err = t.image(d, j.source.convert, r.before); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if e.After, err = t.image(d, j.source.convert, r.after); err != nil {
		return fmt.Errorf("after: %w", err)
	}
	if (e.Before == nil) != (e.Op == Insert) || (e.After == nil) != (e.Op == Delete) {
		return errImage
	}
	if e.Op == Update && slices.Equal(e.Before, e.After) {
		e.Op = Secret
	}
	return nil
}

// decodeActor reads an actor; the entries of a transaction come one after the other and have the same.
func (j *Journal) decodeActor(ctx context.Context, r *record) Actor {
	if r.actor == "" {
		return Actor{}
	}
	j.actors.Lock()
	defer j.actors.Unlock()
	if j.actorText == r.actor {
		return j.actor
	}
	var actor Actor
	if err := json.Unmarshal([]byte(r.actor), &actor); err != nil {
		// Any program that writes to the table can claim any actor, and any nonsense.
		j.log.WarnContext(ctx, "journal: an actor cannot be read", "position", r.mark.Position, "error", err)
	}
	j.actorText, j.actor = r.actor, actor
	return actor
}
