package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Label has constraints of each kind.
type Label struct {
	ID     int64  `json:"id"`
	Name   string `json:"name" gorm:"uniqueIndex;size:20"`
	Size   int    `json:"size" gorm:"check:label_size,size > 0"`
	Owner  string `json:"owner"`
	Parent *int64 `json:"parent"`
	Up     *Label `json:"-" gorm:"foreignKey:Parent"`
}

func publishLabel(c *capebase.Cape) {
	labels := capebase.Publish[Label](c)
	labels.Allow(policy.Read, policy.Anyone())
	labels.Allow(policy.Write, policy.Owner(&labels.Fields.Owner))
}

// log collects what a backend logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

const insertLabel = "INSERT INTO labels (name, size, owner, parent) VALUES (?, ?, ?, ?)"

// mistakes are what a route does wrong, by name.
func mistakes() map[string]func(s session) error {
	parent := int64(99)
	insert := func(args ...any) func(s session) error {
		return func(s session) error { _, err := s.exec(insertLabel, args...); return err }
	}
	create := func(l Label) func(s session) error { return func(s session) error { return s.db().Create(&l).Error } }
	return map[string]func(s session) error{
		"unique":      insert("one", 1, "alice", nil),
		"unique gorm": create(Label{Name: "one", Size: 1, Owner: "alice"}),
		"unique in a tx": func(s session) error {
			return s.Transaction(s.ctx, func(ctx context.Context) error { return insert("one", 1, "alice", nil)(s.within(ctx)) })
		},
		"check":            insert("two", 0, "alice", nil),
		"check gorm":       create(Label{Name: "two", Owner: "alice"}),
		"not null":         insert(nil, 1, "alice", nil),
		"foreign key":      insert("two", 1, "alice", 99),
		"foreign key gorm": create(Label{Name: "two", Size: 1, Owner: "alice", Parent: &parent}),
		"permission":       insert("two", 1, "someone", nil),
		"permission gorm":  create(Label{Name: "two", Size: 1, Owner: "someone"}),
		"refused":          func(s session) error { _, err := s.exec("DROP TABLE labels"); return err },
		"own":              func(session) error { return fmt.Errorf("secret of the handler") },
		"wrapped":          func(s session) error { return fmt.Errorf("secret: %w", insert("one", 1, "alice", nil)(s)) },
		"syntax":           func(s session) error { _, err := s.exec("UPDATE labels SET no_such_column = 1"); return err },
	}
}

func TestErrorsOfSessions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, publishLabel)
		s := as("alice")
		if err := mistakes()["unique"](s); err != nil { // the first is no mistake
			t.Fatal(err)
		}
		for what, want := range map[string]error{
			"unique": capebase.ErrConflict, "unique gorm": capebase.ErrConflict, "unique in a tx": capebase.ErrConflict, "wrapped": capebase.ErrConflict,
			"check": capebase.ErrInvalid, "check gorm": capebase.ErrInvalid, "not null": capebase.ErrInvalid,
			"foreign key": capebase.ErrInvalid, "foreign key gorm": capebase.ErrInvalid,
		} {
			err := mistakes()[what](s)
			wantErr(t, what, err, want)
			var postgres *pgconn.PgError
			var mariadb *mysql.MySQLError
			var sqlite *sqlite3.Error
			if !errors.As(err, &postgres) && !errors.As(err, &mariadb) && !errors.As(err, &sqlite) {
				t.Errorf("%s: %v does not unwrap to the driver's error", what, err)
			}
		}
		var problem *capebase.Error
		if err := mistakes()["syntax"](s); err == nil || errors.As(err, &problem) {
			t.Errorf("the developer's mistake: %v", err)
		}
		err := s.SQL().QueryRowContext(s.ctx, "SELECT id FROM labels WHERE name = 'none'").Scan(new(int64))
		if err == nil || errors.As(err, &problem) {
			t.Errorf("no rows: %v", err)
		}
	})
}

// TestErrorsOfSessionsTranslated asks for GORM's names of errors beside ours.
func TestErrorsOfSessionsTranslated(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessionsWith(t, target, capebase.Config{Gorm: gorm.Config{TranslateError: true}}, publishLabel)
		s := as("alice")
		if err := mistakes()["unique"](s); err != nil {
			t.Fatal(err)
		}
		err := mistakes()["unique gorm"](s)
		wantErr(t, "unique", err, gorm.ErrDuplicatedKey)
		wantErr(t, "unique", err, capebase.ErrConflict)
		err = mistakes()["foreign key gorm"](s)
		wantErr(t, "foreign key", err, gorm.ErrForeignKeyViolated)
		wantErr(t, "foreign key", err, capebase.ErrInvalid)
		wantErr(t, "not found", s.db().First(&Label{}, 99).Error, gorm.ErrRecordNotFound)
	})
}

func TestErrorsOfSessionsOverHTTP(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		logged := &log{}
		config := capebase.Config{SlowQuery: -1, Logger: slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelWarn})), Limits: capebase.Limits{WriteWait: time.Second}}
		config.Gorm.Logger = logger.Discard
		a := startWith(t, target, config, func(c *capebase.Cape) {
			publishLabel(c)
			huma.Post(c.API(), "/mistake/{what}", func(ctx context.Context, in *struct {
				What string `path:"what"`
			}) (*struct{}, error) {
				s := session{Cape: c, t: t, ctx: ctx, numbered: target.Engine == dbtest.Postgres}
				if in.What == "busy" { // what the holder of SQLite's writer causes, and a server that is down
					err := s.Transaction(ctx, func(context.Context) error { return mistakes()["unique"](s) })
					return nil, err
				}
				return nil, mistakes()[in.What](s)
			})
		})
		alice := a.as("alice")
		mistake := func(c client, what string) answer {
			return c.post("/mistake/"+strings.ReplaceAll(what, " ", "%20"), "")
		}
		mistake(alice, "unique").want(http.StatusNoContent)
		for _, what := range []string{"unique", "unique gorm", "unique in a tx", "wrapped"} {
			mistake(alice, what).problem(http.StatusConflict, "conflict")
		}
		for _, what := range []string{"check", "check gorm", "not null", "foreign key", "foreign key gorm"} {
			mistake(alice, what).problem(http.StatusUnprocessableEntity, "invalid")
		}
		for _, what := range []string{"permission", "permission gorm"} {
			mistake(alice, what).problem(http.StatusForbidden, "permission")
			answer := mistake(a.as(""), what)
			answer.problem(http.StatusUnauthorized, "unauthenticated")
			if answer.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		}
		if text := logged.take(); strings.Contains(text, "request failed") {
			t.Errorf("clients' mistakes are logged: %s", text)
		}
		for what, logs := range map[string]string{"refused": "DROP", "own": "secret of the handler", "syntax": "no_such_column"} {
			answer := mistake(alice, what)
			answer.problem(http.StatusInternalServerError, "internal")
			for _, secret := range []string{"DROP", "labels", "secret", "column", "caller's rows"} {
				if strings.Contains(answer.Body, secret) {
					t.Errorf("%s: clients are told %s", what, answer.Body)
				}
			}
			if text := logged.take(); !strings.Contains(text, logs) || !strings.Contains(text, answer.Header.Get("X-Request-Id")) {
				t.Errorf("%s: the log has %q", what, text)
			}
		}
		if target.Engine == dbtest.SQLite {
			answer := mistake(alice, "busy")
			answer.problem(http.StatusServiceUnavailable, "unavailable")
			if answer.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if text := logged.take(); !strings.Contains(text, "the outer context") {
				t.Errorf("the log has %q", text)
			}
		}
	})
}
