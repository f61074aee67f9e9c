package apitest

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// TestChangesOfSessions hears of each way to write, with who did it, and of nothing that was rolled back.
func TestChangesOfSessions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		seen := make(chan capebase.Change[Document], 100)
		as := sessions(t, target, func(c *capebase.Cape) {
			documents := capebase.Publish[Document](c)
			documents.Allow(policy.Read, policy.Anyone())
			documents.Allow(policy.Write, policy.Owner(&documents.Fields.OwnerID))
			documents.OnChange(func(_ context.Context, change capebase.Change[Document]) { seen <- change })
		})
		next := func(event capebase.Event, id, actor string) {
			t.Helper()
			if c := await(t, seen); c.Event != event || c.Row.ID != id || c.Actor != actor {
				t.Fatalf("%s %s by %q, want %s %s by %q", c.Event, c.Row.ID, c.Actor, event, id, actor)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		alice, bob := as("alice"), as("bob")
		must(alice.db().Create([]Document{{ID: "a1", OwnerID: "alice"}, {ID: "a2", OwnerID: "alice"}}).Error)
		next(capebase.Inserted, "a1", "alice")
		next(capebase.Inserted, "a2", "alice")

		_, err := bob.exec("UPDATE documents SET title = 'x'") // the rows are alice's
		wantErr(t, "a violation", err, capebase.ErrPermission)
		wantErr(t, "a rollback", alice.Transaction(alice.ctx, func(ctx context.Context) error {
			must(alice.DB(ctx).Where("1 = 1").Delete(&Document{}).Error)
			return errGaveUp
		}), errGaveUp)

		affected(t, "INSERT", 1)(bob.exec(insertDocument, "b1", "bob", "", "x"))
		next(capebase.Inserted, "b1", "bob")
		affected(t, "bulk UPDATE of GORM", 2)(changed(alice.db().Model(&Document{}).Where("1 = 1").Update("title", "y")))
		next(capebase.Updated, "a1", "alice")
		next(capebase.Updated, "a2", "alice")
		must(alice.Transaction(alice.ctx, func(ctx context.Context) error {
			_ = alice.Transaction(ctx, func(ctx context.Context) error { // rolled back alone
				must(alice.DB(ctx).Delete(&Document{ID: "a1"}).Error)
				return errGaveUp
			})
			affected(t, "DELETE", 1)(alice.within(ctx).exec("DELETE FROM documents WHERE id = 'a2'"))
			return nil
		}))
		next(capebase.Deleted, "a2", "alice")
		root := bob.within(auth.Privileged(bob.ctx, "bob cleans up"))
		affected(t, "privileged", 2)(root.exec("DELETE FROM documents"))
		for range 2 {
			if c := await(t, seen); c.Event != capebase.Deleted || c.Actor != "bob" {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// TestSessionSoftDelete sees soft-deleted rows as GORM does: Unscoped and SQL see what the rule allows.
func TestSessionSoftDelete(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, func(c *capebase.Cape) {
			notes := capebase.Publish[Note](c)
			notes.Allow(policy.Read|policy.Create|policy.Update, policy.Owner(&notes.Fields.UserID))
			notes.Allow(policy.Delete, policy.Owner(&notes.Fields.UserID), policy.Field(&notes.Fields.Text).Ne("kept"))
			notes.Allow(policy.Read, policy.Role("admin"))
		})
		alice, bob, admin := as("alice"), as("bob"), as("admin")
		for _, text := range []string{"one", "kept"} {
			if err := alice.db().Create(&Note{Text: text}).Error; err != nil {
				t.Fatal(err)
			}
		}
		affected(t, "a foreign row", 0)(changed(bob.db().Delete(&Note{}, 1)))
		wantErr(t, "a row that can be read", admin.db().Delete(&Note{}, 1).Error, capebase.ErrPermission)
		wantErr(t, "a row that is kept", alice.db().Delete(&Note{}, 2).Error, capebase.ErrPermission)
		affected(t, "all but those", 1)(changed(alice.db().Where("1 = 1").Delete(&Note{})))
		var notes []Note
		if err := alice.db().Find(&notes).Error; err != nil || len(notes) != 1 || notes[0].Text != "kept" {
			t.Fatalf("Find: %+v, %v", notes, err)
		}
		if err := alice.db().Unscoped().Order("id").Find(&notes).Error; err != nil || len(notes) != 2 || !notes[0].DeletedAt.Valid {
			t.Fatalf("Unscoped: %+v, %v", notes, err)
		}
		alice.wants("SELECT text FROM notes ORDER BY id", "one", "kept")
		bob.wants("SELECT text FROM notes")
		if err := bob.db().Unscoped().Find(&notes).Error; err != nil || len(notes) != 0 {
			t.Fatalf("Unscoped of a stranger: %+v, %v", notes, err)
		}
		wantErr(t, "gone already", alice.db().Unscoped().Model(&Note{Model: gorm.Model{ID: 2}}).Delete(&Note{}).Error, capebase.ErrPermission)
		_, err := alice.exec("UPDATE notes SET deleted_at = CURRENT_TIMESTAMP WHERE id = 2") // that is a deletion
		wantErr(t, "SQL", err, capebase.ErrPermission)
		affected(t, "restore", 1)(changed(alice.db().Unscoped().Model(&Note{Model: gorm.Model{ID: 1}}).UpdateColumn("deleted_at", nil)))
		affected(t, "delete for good", 1)(changed(alice.db().Unscoped().Delete(&Note{}, 1)))
		as("privileged").wants("SELECT text FROM notes", "kept")
	})
}

// TestSessionAnyone reads and writes as everybody, and finds validation tags and the limits of HTTP clients not applied.
func TestSessionAnyone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, func(c *capebase.Cape) {
			capebase.Publish[Todo](c).Allow(policy.All, policy.Anyone())
		})
		s := as("editor")
		if err := s.db().Create(&Todo{Task: ""}).Error; err != nil { // minLength:"1" is for clients
			t.Fatal(err)
		}
		affected(t, "Update", 1)(changed(as("").db().Model(&Todo{ID: 1}).Update("task", "by nobody")))
		affected(t, "UPDATE", 1)(as("alice").exec("UPDATE todos SET is_complete = TRUE"))
		as("").wants("SELECT task FROM todos", "by nobody")
		affected(t, "DELETE", 1)(as("").exec("DELETE FROM todos"))
	})
}
