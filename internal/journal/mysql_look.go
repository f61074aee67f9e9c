package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capebase/capebase/internal/sqldriver"
)

// mysqlLook looks at the catalogue from time to time: for triggers and foreign keys that came or went, and for tables
// whose rows changed without any trigger. TRUNCATE gives a table a new number in InnoDB, as does an ALTER TABLE that
// writes all rows anew, which may change any of them: then a gap is journaled. Only who has PROCESS can see the numbers.
type mysqlLook struct {
	source *mysqlSource

	// What was found at the last look, and when the next one is; of the tailer alone.
	next, nextKeys time.Time
	triggers, keys string

	turn sync.Mutex
	// tables are those with triggers of ours, as of the last plan.
	tables  []mysqlTableName
	numbers map[string]string // of tables in InnoDB by their recorded names, to be compared with those that are noted
}

const (
	// metaNumber and a table's recorded name: the table's number when it was last looked at.
	metaNumber = "journal.number."
	// mysqlKeysEvery is at how many looks the foreign keys are looked at: for them the server opens every table.
	mysqlKeysEvery = 5
	// mysqlLookTime bounds a look.
	mysqlLookTime = 10 * time.Second
)

// note keeps which tables a plan found.
func (l *mysqlLook) note(all *mysqlCatalogue, tables []*mysqlTable) {
	var names []mysqlTableName
	for _, t := range tables {
		names = append(names, t.fullName(all.home))
	}
	for _, t := range all.triggers {
		if !slices.Contains(names, t.table) {
			names = append(names, t.table)
		}
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	l.tables = names
}

// changed looks when it is time to.
func (l *mysqlLook) changed(ctx context.Context) (changed bool, err error) {
	now := time.Now()
	if now.Before(l.next) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, mysqlLookTime)
	defer cancel()
	triggers, keys := "", l.keys
	var numbers map[string]string
	err = l.source.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		home, err := l.source.homeOf(ctx, c)
		if err != nil {
			return err
		}
		if numbers, err = l.source.numbers(ctx, c, home); err != nil {
			return err
		}
		if triggers, err = l.lookAtTriggers(ctx, c, numbers); err != nil || now.Before(l.nextKeys) {
			return err
		}
		keys, err = l.lookAtKeys(ctx, c, home)
		return err
	})
	if err != nil {
		return false, err
	}
	changed = triggers != l.triggers || keys != l.keys
	if !now.Before(l.nextKeys) {
		l.nextKeys = now.Add(mysqlKeysEvery * l.source.times.look)
	}
	l.next, l.triggers, l.keys = now.Add(l.source.times.look), triggers, keys
	l.turn.Lock()
	l.numbers = numbers
	l.turn.Unlock()
	return changed, nil
}

func (l *mysqlLook) lookAtTriggers(ctx context.Context, c *sqldriver.Conn, numbers map[string]string) (string, error) {
	l.turn.Lock()
	tables := l.tables
	l.turn.Unlock()
	var b strings.Builder
	for _, t := range l.source.tables { // in a fixed order
		fmt.Fprintf(&b, "%q ", numbers[t.recordedName()])
	}
	const query = "SELECT TRIGGER_NAME, CREATED FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? ORDER BY TRIGGER_NAME"
	for _, name := range tables {
		if err := each(ctx, c, query, arguments(name.schema, name.name), collectInto(&b)); err != nil {
			return "", err
		}
	}
	return mysqlHash(b.String()), nil
}

func (l *mysqlLook) lookAtKeys(ctx context.Context, c *sqldriver.Conn, home string) (string, error) {
	var b strings.Builder
	const query = "SELECT TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? ORDER BY TABLE_NAME, CONSTRAINT_NAME"
	for _, schema := range l.source.schemas(home) {
		if err := each(ctx, c, query, arguments(schema), collectInto(&b)); err != nil {
			return "", err
		}
	}
	return mysqlHash(b.String()), nil
}

// collectInto returns a function for each that writes rows down.
func collectInto(b *strings.Builder) func(row []driver.Value) error {
	return func(row []driver.Value) error {
		for _, cell := range row {
			fmt.Fprintf(b, "%q ", textOf(cell))
		}
		return nil
	}
}

// numbers reads the numbers that InnoDB has given the tables; none where this user may not.
func (s *mysqlSource) numbers(ctx context.Context, c *sqldriver.Conn, home string) (map[string]string, error) {
	view, err := s.numberView(ctx, c)
	if err != nil || view == "" {
		return nil, err
	}
	all := make(map[string]string)
	for _, t := range s.tables {
		schema := t.model.Table.Schema
		if schema == "" {
			schema = home
		}
		name := mysqlFileName(schema) + "/" + mysqlFileName(t.model.Table.Name)
		var numbers []string
		query := "SELECT TABLE_ID FROM information_schema." + view + " WHERE NAME LIKE ? ESCAPE '|' OR NAME LIKE ? ESCAPE '|' ORDER BY TABLE_ID"
		err := each(ctx, c, query, arguments(name, name+"#p#%"), func(row []driver.Value) error {
			numbers = append(numbers, textOf(row[0]))
			return nil
		})
		if err != nil {
			if strings.Contains(err.Error(), "Error 1227 ") {
				return nil, nil //nolint:nilnil // nil is what may be known
			}
			return nil, err
		}
		if len(numbers) > 0 {
			all[t.recordedName()] = mysqlHash(strings.Join(numbers, ","))
		}
	}
	return all, nil
}

// numberView is the name of the view with the numbers, which differs: MariaDB's, MySQL's.
func (s *mysqlSource) numberView(ctx context.Context, c *sqldriver.Conn) (view string, err error) {
	query := "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME IN ('INNODB_SYS_TABLES', 'INNODB_TABLES')"
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		view = textOf(row[0])
		return nil
	})
	return view, err
}

// mysqlFileName is how InnoDB writes a name, as a pattern for LIKE: letters, digits and _ are themselves, other ASCII is
// its code, and the codes of others are not all known.
func mysqlFileName(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '_':
			b.WriteString("|_")
		case r < 0x80:
			fmt.Fprintf(&b, "@%04x", r)
		default:
			b.WriteString("@%")
		}
	}
	return b.String()
}

// reconcile compares the tables' numbers with those that are noted, and journals a gap for each table that has another.
func (l *mysqlLook) reconcile(ctx context.Context) error {
	l.turn.Lock()
	numbers := l.numbers
	l.numbers = nil
	l.turn.Unlock()
	if len(numbers) == 0 {
		return nil
	}
	s := l.source
	var noted map[string]string
	err := s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		noted, err = s.meta(ctx, c)
		return err
	})
	if err != nil || noted[metaFormat] == "" {
		return err
	}
	for _, t := range s.tables {
		name := t.recordedName()
		number, before := numbers[name], noted[metaNumber+name]
		if number == "" || number == before {
			continue
		}
		if err := l.renumber(ctx, name, before, number); err != nil {
			return err
		}
	}
	return nil
}

// renumber writes a table's number, and a gap unless it is the first. One of several processes does.
func (l *mysqlLook) renumber(ctx context.Context, name, before, number string) error {
	s := l.source
	return s.db.UpdateRetry(own(ctx), func(ctx context.Context, c *sqldriver.Conn) error {
		if before == "" {
			_, err := c.Exec(ctx, "INSERT IGNORE INTO cape_meta (`key`, `value`) VALUES (?, ?)", arguments(metaNumber+name, number))
			return err
		}
		result, err := c.Exec(ctx, "UPDATE cape_meta SET `value` = ? WHERE `key` = ? AND `value` = ?", arguments(number, metaNumber+name, before))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		s.log.WarnContext(ctx, "journal: a table was truncated or rebuilt, which fires no trigger; its subscribers start again", "table", name)
		statement, args := s.gap(name)
		_, err = c.Exec(ctx, statement, args)
		return err
	})
}
