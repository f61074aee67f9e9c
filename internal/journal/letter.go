package journal

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/sqldriver"
)

// DeadLetter is an entry that a consumer's handler failed with too often. It is kept whole, so that pruning takes
// nothing from it.
type DeadLetter struct {
	Consumer string
	Entry    Entry
	Tries    int    // that failed
	Error    string // of the last one
	At       time.Time
}

// storedEntry is how an entry lies in a dead letter.
type storedEntry struct {
	Source uint64    `json:"source,omitempty"`
	Tx     string    `json:"tx,omitempty"`
	At     time.Time `json:"at"`
	Format int       `json:"v"`
	Table  string    `json:"tbl"`
	Op     string    `json:"op"`
	Key    string    `json:"key,omitempty"`
	Before string    `json:"old,omitempty"`
	After  string    `json:"new,omitempty"`
	Actor  string    `json:"actor,omitempty"`
	User   string    `json:"user,omitempty"`
}

func storeRecord(r *record) (string, error) {
	doc, err := json.Marshal(storedEntry{
		r.source, r.tx, r.at, r.format, r.table, string(r.op), r.key, r.before, r.after, r.actor, r.user,
	})
	return string(doc), err
}

func loadRecord(at Mark, doc string) (record, error) {
	var e storedEntry
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		return record{}, err
	}
	if len(e.Op) != 1 {
		return record{}, fmt.Errorf("it has the operation %q", e.Op)
	}
	return record{at, e.Source, e.Tx, e.At, e.Format, e.Table, e.Op[0], e.Key, e.Before, e.After, e.Actor, e.User}, nil
}

// setAside makes a dead letter of an entry; the consumer has passed it then.
func (s *shift) setAside(e *Entry, tries int64, fault error) error {
	// What was found out by so many tries is not forgotten because the program ends now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.waiting), saveTime)
	defer cancel()
	doc, err := s.store(ctx, e)
	if err != nil {
		return err
	}
	return s.lease.keep(s.waiting, &step{consumerState{Mark: e.Mark}, func(ctx context.Context, c *sqldriver.Conn) error {
		// A consumer whose row was deleted begins anew, and may fail anew.
		if err := s.journal.dropLetter(ctx, c, s.name, e.Mark); err != nil {
			return err
		}
		q := engine.NewBuilder(s.journal.db.Dialect())
		q.Write("INSERT INTO ", s.journal.source.name(deadLetterTable), " (")
		for _, column := range [...]string{"consumer", "position", "nonce", "tries", "error", "entry"} {
			q.Quote(column)
			q.Write(", ")
		}
		q.Quote("at")
		q.Write(") VALUES (")
		for _, v := range [...]driver.Value{s.name, e.Position, nonceTo(e.Nonce), tries, errorText(fault), doc} {
			q.Raw(v)
			q.Write(", ")
		}
		q.Write(s.journal.source.now(), ")")
		_, err := c.Exec(ctx, q.String(), q.Args)
		return err
	}})
}

// store writes an entry as the journal has it. What the journal does not have any more, and the gap of a lost consumer,
// which it never had, is a gap.
func (s *shift) store(ctx context.Context, e *Entry) (string, error) {
	records, err := s.journal.source.read(ctx, e.Position-1, 1)
	if err != nil {
		return "", err
	}
	if len(records) == 1 && records[0].mark == e.Mark {
		return storeRecord(&records[0])
	}
	return storeRecord(&record{op: 'G', at: e.Time, format: format, table: strings.ToLower(e.Name)})
}

// errorText is what a dead letter says of an error.
func errorText(err error) string {
	const longest = 4000
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "\uFFFD")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

func (j *Journal) dropLetter(ctx context.Context, c *sqldriver.Conn, name string, at Mark) error {
	q := engine.NewBuilder(j.db.Dialect())
	q.Write("DELETE FROM ", j.source.name(deadLetterTable), " WHERE ")
	j.whichLetter(q, name, at)
	_, err := c.Exec(ctx, q.String(), q.Args)
	return err
}

func (j *Journal) whichLetter(q *engine.Builder, name string, at Mark) {
	equal(q, "consumer", name)
	q.Write(" AND ")
	equal(q, "position", at.Position)
	q.Write(" AND ")
	equal(q, "nonce", nonceTo(at.Nonce))
}

// DeadLetters returns the entries that were set aside after a position, at most limit, in order.
func (c *Consumer) DeadLetters(ctx context.Context, after int64, limit int) ([]DeadLetter, error) {
	j := c.journal
	d := j.db.Dialect()
	q := engine.NewBuilder(d)
	q.Write("SELECT ")
	for _, column := range [...]string{"position", "nonce", "tries", "error", "entry"} {
		q.Write(d.Quote(column), ", ")
	}
	q.Write(d.Quote("at"), " FROM ", j.source.name(deadLetterTable), " WHERE ")
	equal(q, "consumer", c.name)
	q.Write(" AND ", d.Quote("position"), " > ")
	q.Raw(after)
	q.Write(" ORDER BY ", d.Quote("position"), ", ", d.Quote("at"), " LIMIT ")
	q.Raw(int64(limit))
	var letters []DeadLetter
	err := j.db.Read(ctx, func(ctx context.Context, conn *sqldriver.Conn) error {
		return each(ctx, conn, q.String(), q.Args, func(row []driver.Value) error {
			letter := DeadLetter{
				Consumer: c.name, Tries: int(intOf(row[2])), Error: textOf(row[3]), At: time.UnixMicro(intOf(row[5])).UTC(),
			}
			at := Mark{intOf(row[0]), nonceFrom(intOf(row[1]))}
			r, err := loadRecord(at, textOf(row[4]))
			if err != nil {
				return fmt.Errorf("dead letter %d: %w", at.Position, err)
			}
			j.decode(ctx, &r, &letter.Entry)
			letters = append(letters, letter)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: consumer %s: %w", c.name, err)
	}
	return letters, nil
}

// Retry calls handle with each dead letter, in order, and deletes those with which it succeeds. The others stay, with
// one more try and the new error; the error that is returned joins them. It stops at an error of the database, and when
// ctx ends.
func (c *Consumer) Retry(ctx context.Context, handle Handler) (succeeded int, err error) {
	var failures []error
	for after := int64(-1); ; {
		letters, err := c.DeadLetters(ctx, after, retryPage)
		if err != nil {
			return succeeded, errors.Join(append(failures, err)...)
		}
		for i := range letters {
			letter := &letters[i]
			after = letter.Entry.Position
			fault := c.call(ctx, handle, &letter.Entry)
			if err := c.retried(ctx, letter, fault); err != nil {
				return succeeded, errors.Join(append(failures, err)...)
			}
			if fault != nil {
				failures = append(failures, fmt.Errorf("consumer %s: position %d: %w", c.name, letter.Entry.Position, fault))
			} else {
				succeeded++
			}
		}
		if len(letters) < retryPage {
			return succeeded, errors.Join(failures...)
		}
	}
}

// retryPage bounds the dead letters in memory.
const retryPage = 100

// retried notes how a retry ended. What succeeded is noted even when ctx has ended.
func (c *Consumer) retried(ctx context.Context, letter *DeadLetter, fault error) error {
	j := c.journal
	if fault != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	err := j.db.UpdateRetry(own(ctx), func(ctx context.Context, conn *sqldriver.Conn) error {
		if fault == nil {
			return j.dropLetter(ctx, conn, c.name, letter.Entry.Mark)
		}
		q := engine.NewBuilder(j.db.Dialect())
		q.Write("UPDATE ", j.source.name(deadLetterTable), " SET ")
		equal(q, "tries", int64(letter.Tries+1))
		q.Write(", ")
		equal(q, "error", errorText(fault))
		q.Write(" WHERE ")
		j.whichLetter(q, c.name, letter.Entry.Mark)
		_, err := conn.Exec(ctx, q.String(), q.Args)
		return err
	})
	if err != nil {
		return fmt.Errorf("journal: consumer %s: %w", c.name, err)
	}
	return nil
}
