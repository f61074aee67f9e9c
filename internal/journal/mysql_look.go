package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
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

	next time.Time
	last string // what was found; of the tailer alone

	turn    sync.Mutex
	numbers map[string]string // of tables in InnoDB by their recorded names, to be compared with those that are noted
}

// metaNumber and a table's recorded name: the table's number when it was last looked at.
const metaNumber = "journal.number."

// changed looks when it is time to.
func (l *mysqlLook) changed(ctx context.Context) (changed bool, err error) {
	if time.Now().Before(l.next) {
		return false, nil
	}
	var b strings.Builder
	var numbers map[string]string
	err = l.source.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		home, err := l.source.homeOf(ctx, c)
		if err != nil {
			return err
		}
		for _, schema := range l.source.schemas(home) {
			for _, query := range [...]string{
				"SELECT TRIGGER_NAME, CREATED FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? ORDER BY TRIGGER_NAME",
				"SELECT TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? ORDER BY TABLE_NAME, CONSTRAINT_NAME",
			} {
				err := each(ctx, c, query, arguments(schema), func(row []driver.Value) error {
					for _, cell := range row {
						fmt.Fprintf(&b, "%q ", textOf(cell))
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		numbers, err = l.source.numbers(ctx, c, home)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, t := range l.source.tables { // in a fixed order
		fmt.Fprintf(&b, "%q ", numbers[t.recordedName()])
	}
	changed = l.last != mysqlHash(b.String())
	l.next, l.last = time.Now().Add(l.source.times.look), mysqlHash(b.String())
	l.turn.Lock()
	l.numbers = numbers
	l.turn.Unlock()
	return changed, nil
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
		if err := l.note(ctx, name, before, number); err != nil {
			return err
		}
	}
	return nil
}

// note writes a table's number, and a gap unless it is the first. One of several processes does.
func (l *mysqlLook) note(ctx context.Context, name, before, number string) error {
	s := l.source
	return s.db.UpdateRetry(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
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
