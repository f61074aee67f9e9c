package soak

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/policy"
)

// right is one privilege on something.
type right struct{ privilege, on string }

// documented reads the rights that docs/databases.md asks for, in the block for a product.
func documented(t testing.TB, product string) (rights []right) {
	t.Helper()
	text, err := os.ReadFile("../../docs/databases.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n"+product)
	_, block, _ := strings.Cut(after, "```sql\n")
	block, _, _ = strings.Cut(block, "```")
	for _, grant := range regexp.MustCompile(`GRANT ([A-Z, ]+) ON (.+) TO app;`).FindAllStringSubmatch(block, -1) {
		on := strings.ReplaceAll(grant[2], "todos", "tasks")
		places, prefix := []string{on}, ""
		if schemas, ok := strings.CutPrefix(on, "SCHEMA "); ok {
			places, prefix = strings.Split(schemas, ", "), "SCHEMA "
		}
		for _, place := range places {
			for privilege := range strings.SplitSeq(grant[1], ", ") {
				rights = append(rights, right{privilege, prefix + place})
			}
		}
	}
	if len(rights) < 10 {
		t.Fatalf("docs/databases.md has %d rights for %s: %v", len(rights), product, rights)
	}
	return rights
}

// TestLeastRights serves with exactly the rights that are documented. Without any one of them something fails; which is
// tried for CAPE_SOAK_RIGHTS of them, 2 unless it is set.
func TestLeastRights(t *testing.T) {
	revoked := setting(t, "CAPE_SOAK_RIGHTS", 2, strconv.Atoi)
	products := map[string]string{dbtest.Postgres: "PostgreSQL", dbtest.MariaDB: "MySQL and MariaDB", dbtest.MySQL: "MySQL and MariaDB"}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return // it has no rights
		}
		rights := documented(t, products[target.Engine])
		if err := serveWith(t, target, rights, 30*time.Second); err != nil {
			t.Errorf("with all of %v: %v", rights, err)
		}
		random := mrand.New(mrand.NewPCG(seed(t), 0))
		for _, n := range random.Perm(len(rights))[:min(revoked, len(rights))] {
			less := slices.Delete(slices.Clone(rights), n, n+1)
			t.Run(rights[n].privilege+" on "+rights[n].on, func(t *testing.T) {
				err := serveWith(t, dbtest.New(t, target.Engine), less, 5*time.Second)
				if err == nil {
					t.Error("it is not needed")
				}
				t.Log(err)
			})
		}
	})
}

// serveWith makes a user with these rights, and uses all features as it, within a time.
func serveWith(t *testing.T, target dbtest.Target, rights []right, patience time.Duration) error {
	t.Helper()
	admin, err := openTasks(engines.Of(target.URL), capebase.MigrateAll, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(admin.Start(t.Context()), admin.Close())
	if err != nil {
		t.Fatal(err)
	}
	pool := openPool(t, target)
	exec := func(statement string) {
		// The test's own context may have ended.
		if _, err := pool.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	name := "cape_" + strings.ToLower(rand.Text()[:12])
	u.User = url.UserPassword(name, "secret")
	if target.Engine == dbtest.Postgres {
		exec("REVOKE ALL ON SCHEMA public FROM PUBLIC")
		exec("CREATE ROLE " + name + " LOGIN PASSWORD 'secret'")
		t.Cleanup(func() { exec("DROP OWNED BY " + name + "; DROP ROLE " + name) })
	} else {
		exec("CREATE USER " + name + " IDENTIFIED BY 'secret'")
		t.Cleanup(func() { exec("DROP USER " + name) })
	}
	main := strings.TrimPrefix(u.Path, "/")
	for _, r := range rights {
		exec("GRANT " + r.privilege + " ON " + strings.Replace(r.on, "main.", "`"+main+"`.", 1) + " TO " + name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return useAll(ctx, target.Engine, u.String())
}

// openTasks opens a backend of tasks alone.
func openTasks(db capebase.Database, mode capebase.Migrate, declare func(*capebase.Resource[Task])) (*capebase.Cape, error) {
	cape, err := capebase.Open(db, capebase.Config{Migrate: mode, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	cape.UseAuth(credentials())
	task := capebase.Publish[Task](cape, capebase.History())
	task.Allow(policy.All, policy.SignedIn())
	if declare != nil {
		declare(task)
	}
	return cape, nil
}

var errUnexpected = errors.New("not as expected")

// useAll writes, lists, streams, handles and consumes; its error is what did not work.
func useAll(ctx context.Context, engine, address string) (err error) {
	handled, consumed := make(chan capebase.Change[Task], 10), make(chan capebase.Change[Task], 10)
	broken := make(chan struct{}, 1) // each is a failure of the consumer
	broken <- struct{}{}
	cape, err := openTasks(engines.Of(address), capebase.MigrateNone, func(task *capebase.Resource[Task]) {
		task.OnChange(func(_ context.Context, c capebase.Change[Task]) { handled <- c })
		task.Consume("audit", func(_ context.Context, c capebase.Change[Task]) error {
			select {
			case <-broken:
				return errors.New("it cannot be done")
			default:
			}
			consumed <- c
			return nil
		}, capebase.Tries(1))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cape.Close()) }()
	if err := cape.Start(ctx); err != nil {
		return fmt.Errorf("Start: %w", err)
	}
	server := httptest.NewServer(cape)
	defer server.Close()
	b := &backend{address: strings.TrimPrefix(server.URL, "http://"), client: server.Client()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // streams end before the server waits for them
	if err := useStreams(ctx, b); err != nil {
		return err
	}
	for _, want := range []capebase.Event{capebase.Inserted, capebase.Updated, capebase.Deleted} {
		select {
		case c := <-handled:
			if c.Event != want {
				return fmt.Errorf("OnChange: %s, want %s", c.Event, want)
			}
		case <-ctx.Done():
			return errors.New("OnChange: nothing came")
		}
	}
	if err := useConsumer(ctx, cape, consumed, broken); err != nil {
		return err
	}
	if err := cape.Record(ctx, capebase.AuditEvent{Kind: "tried"}); err != nil {
		return fmt.Errorf("Record: %w", err)
	}
	found := 0
	for _, err := range cape.Audit(auth.Privileged(ctx, "a test"), capebase.AuditQuery{Event: "tried"}) {
		if found++; err != nil {
			return fmt.Errorf("Audit: %w", err)
		}
	}
	if found != 1 {
		return fmt.Errorf("the audit trail has %d events, want 1", found)
	}
	return pruneAll(ctx, engine, address)
}

func useStreams(ctx context.Context, b *backend) error {
	client := streamClient(0)
	defer client.CloseIdleConnections()
	stream, err := openEvents(ctx, client, "http://"+b.address+"/task/subscribe?snapshot=true", "u1", "")
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	defer stream.body.Close() //nolint:errcheck // all is read
	for range 2 {
		if e, err := stream.next(); err != nil || e.name == "problem" {
			return fmt.Errorf("stream: %+v, %w", e, cmp.Or(err, errUnexpected))
		}
	}
	var cursor string
	for _, step := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPost, "/task", map[string]any{"level": 1, "v": 1, "tx": "a"}},
		{http.MethodPatch, "/task/1", map[string]any{"level": 2}},
		{http.MethodGet, "/task", nil},
		{http.MethodGet, "/task/1/history", nil},
		{http.MethodDelete, "/task/1", nil},
	} {
		var body any
		if step.body != nil {
			body = step.body
		}
		answer, err := b.do(ctx, step.method, step.path, "u1", body)
		if err != nil || answer.status >= http.StatusBadRequest {
			return fmt.Errorf("%s %s: %v, %w", step.method, step.path, answer, cmp.Or(err, errUnexpected))
		}
		if step.method == http.MethodGet {
			continue
		}
		e, err := stream.next()
		if err != nil || e.name != "" {
			return fmt.Errorf("stream: %+v, %w", e, cmp.Or(err, errUnexpected))
		}
		if cursor == "" {
			cursor = e.id
		}
	}
	again, err := openEvents(ctx, client, "http://"+b.address+"/task/subscribe", "u1", cursor)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer again.body.Close() //nolint:errcheck // all is read
	for _, want := range []string{"ready", "", ""} {
		if e, err := again.next(); err != nil || e.name != want {
			return fmt.Errorf("resumed: %+v, %w", e, cmp.Or(err, errUnexpected))
		}
	}
	return nil
}

// useConsumer has a change set aside, fails with it again, and succeeds.
func useConsumer(ctx context.Context, cape *capebase.Cape, consumed <-chan capebase.Change[Task], broken chan<- struct{}) error {
	for range 2 {
		select {
		case <-consumed:
		case <-ctx.Done():
			return errors.New("Consume: nothing came")
		}
	}
	letters, err := cape.DeadLetters(ctx, "audit")
	if err != nil || len(letters) != 1 {
		return fmt.Errorf("dead letters: %v, %w", letters, cmp.Or(err, errUnexpected))
	}
	broken <- struct{}{}
	if n, err := cape.RetryDeadLetters(ctx, "audit"); err == nil || n != 0 || !strings.Contains(err.Error(), "it cannot be done") {
		return fmt.Errorf("retry: %d, %w", n, cmp.Or(err, errUnexpected))
	}
	if letters, err := cape.DeadLetters(ctx, "audit"); err != nil || len(letters) != 1 || letters[0].Tries != 2 {
		return fmt.Errorf("dead letters: %v, %w", letters, cmp.Or(err, errUnexpected))
	}
	if n, err := cape.RetryDeadLetters(ctx, "audit"); err != nil || n != 1 {
		return fmt.Errorf("retry: %d, %w", n, cmp.Or(err, errUnexpected))
	}
	<-consumed
	return nil
}

// pruneAll removes what the journal has, as a backend does after the retention.
func pruneAll(ctx context.Context, engine, address string) (err error) {
	b, err := engines.Of(address).Connect(ctx)
	if err != nil {
		return err
	}
	db, err := sqldriver.Open(b, sqldriver.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := model.Parse(reflect.TypeFor[Task](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		return err
	}
	j, err := journal.Open(db, []*model.Model{m}, journal.Options{Logger: slog.New(slog.DiscardHandler), Retention: time.Nanosecond, Fixed: true})
	if err != nil {
		return err
	}
	if n, err := j.Prune(ctx); err != nil || n == 0 {
		return fmt.Errorf("pruned %d, %w", n, cmp.Or(err, errUnexpected))
	}
	return nil
}
