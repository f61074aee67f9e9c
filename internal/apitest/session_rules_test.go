package apitest

import (
	"context"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// The rules of upstream_test.go in sessions, through GORM and as SQL.

func onDocuments(t *testing.T, test func(t *testing.T, as func(who string) session)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, publishDocument)
		seedDocuments(as("privileged"))
		test(t, as)
	})
}

func TestSessionListsWhatTheRulesAllow(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		for range 2 { // nothing carries over from one call to the next
			as("alice").wantDocuments("a1", "a2")
			as("bob").wantDocuments("b1", "b2")
			as("admin").wantDocuments("a1", "a2", "b1", "b2", "n1")
			as("org1").wantDocuments("a1", "b1")
			as("orgs").wantDocuments("a1", "b1", "b2")
			as("noorgs").wantDocuments()
			as("editor").wantDocuments()
			as("").wantDocuments()
			as("privileged").wantDocuments("a1", "a2", "b1", "b2", "n1")
		}
	})
}

func TestSessionReadsInAllWaysOfGORM(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		s := as("alice")
		var count int64
		if err := s.db().Model(&Document{}).Count(&count).Error; err != nil || count != 2 {
			t.Fatalf("Count: %d, %v", count, err)
		}
		var titles []string
		if err := s.db().Model(&Document{}).Order("id").Pluck("title", &titles).Error; err != nil || len(titles) != 2 || titles[1] != "second" {
			t.Fatalf("Pluck: %q, %v", titles, err)
		}
		rows, err := s.db().Model(&Document{}).Rows()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Close(); err != nil || rows.Err() != nil || n != 2 {
			t.Fatalf("Rows: %d, %v", n, err)
		}
		n = 0
		var batch []Document
		err = s.db().FindInBatches(&batch, 1, func(*gorm.DB, int) error { n += len(batch); return nil }).Error
		if err != nil || n != 2 {
			t.Fatalf("FindInBatches: %d, %v", n, err)
		}
		var one Document
		wantErr(t, "First", s.db().First(&one, "id = ?", "b1").Error, gorm.ErrRecordNotFound)
		prepared := s.db().Session(&gorm.Session{PrepareStmt: true})
		other := as("bob").db().Session(&gorm.Session{PrepareStmt: true})
		for range 2 {
			for db, want := range map[*gorm.DB]string{prepared: "first", other: "third"} {
				var found Document
				if err := db.Order("id").First(&found).Error; err != nil || found.Title != want {
					t.Fatalf("prepared: %+v, %v", found, err)
				}
			}
		}
		found, err := gorm.G[Document](s.db()).Order("id").Find(s.ctx)
		if err != nil || len(found) != 2 || found[0].ID != "a1" {
			t.Fatalf("gorm.G: %+v, %v", found, err)
		}
		if _, err := gorm.G[Document](s.db()).Where("id = ?", "b1").First(s.ctx); err == nil {
			t.Fatal("gorm.G found a foreign row")
		}
		var raw []Document
		if err := s.db().Raw("SELECT * FROM documents WHERE title <> ?", "second").Scan(&raw).Error; err != nil || len(raw) != 1 {
			t.Fatalf("Raw: %+v, %v", raw, err)
		}
		scope := func(db *gorm.DB) *gorm.DB { return db.Where("title = ? OR title = ?", "first", "third") }
		if err := s.db().Scopes(scope).Find(&raw).Error; err != nil || len(raw) != 1 || raw[0].ID != "a1" {
			t.Fatalf("Scopes: %+v, %v", raw, err)
		}
	})
}

func TestSessionFiltersCombineWithTheRule(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		s := as("orgs")
		s.wants("SELECT id FROM documents WHERE title = 'first' OR owner_id = 'bob' OR 1 = 1 ORDER BY id DESC", "b2", "b1", "a1")
		s.wants("SELECT d.id FROM documents d WHERE EXISTS (SELECT 1 FROM documents e WHERE e.org_id = d.org_id AND e.id <> d.id) ORDER BY d.id", "a1", "b1")
		s.wants("SELECT id FROM documents WHERE org_id = 'org3' UNION SELECT id FROM documents WHERE org_id = 'org2'", "b2")
		s.wants("WITH mine AS (SELECT * FROM documents) SELECT id FROM mine ORDER BY id", "a1", "b1", "b2")
		s.wants("SELECT count(*) FROM documents", "3")
		var found []Document
		if err := s.db().Where("title = ?", "second").Or("owner_id = ?", "bob").Order("id").Find(&found).Error; err != nil || len(found) != 2 {
			t.Fatalf("Or: %+v, %v", found, err)
		}
	})
}

// Folder holds notes of its owner; a note's rule is its own.
type Folder struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner" cape:"auth.id"`
	Name  string `json:"name"`
	Pages []Page `json:"-"`
}

// Page belongs to a folder.
type Page struct {
	ID       int64   `json:"id"`
	FolderID int64   `json:"folder_id"`
	Writer   string  `json:"writer" cape:"auth.id"`
	Text     string  `json:"text"`
	Folder   *Folder `json:"-"`
}

func publishFolders(c *capebase.Cape) {
	folders := capebase.Publish[Folder](c)
	folders.Allow(policy.Read, policy.Anyone())
	folders.Allow(policy.All, policy.Owner(&folders.Fields.Owner))
	pages := capebase.Publish[Page](c)
	pages.Allow(policy.All, policy.Owner(&pages.Fields.Writer))
}

func TestSessionJoinLimitsEachTable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, publishFolders)
		alice, bob := as("alice"), as("bob")
		shared := Folder{Name: "shared", Pages: []Page{{Text: "alice 1"}, {Text: "alice 2"}}} // stored with its pages
		if err := alice.db().Create(&shared).Error; err != nil || shared.Owner != "alice" || shared.Pages[1].Writer != "alice" {
			t.Fatalf("%+v, %v", shared, err)
		}
		if err := bob.db().Create(&Page{FolderID: shared.ID, Text: "bob 1"}).Error; err != nil {
			t.Fatal(err)
		}
		const join = "SELECT p.text FROM folders f JOIN pages p ON p.folder_id = f.id ORDER BY p.text"
		alice.wants(join, "alice 1", "alice 2")
		bob.wants(join, "bob 1")
		as("").wants(join)
		as("").wants("SELECT f.name FROM folders f LEFT JOIN pages p ON p.folder_id = f.id WHERE p.id IS NULL", "shared")
		bob.wants("SELECT a.text FROM pages a, pages b ORDER BY 1", "bob 1")
		var folder Folder
		if err := bob.db().Preload("Pages").First(&folder).Error; err != nil || len(folder.Pages) != 1 || folder.Pages[0].Text != "bob 1" {
			t.Fatalf("Preload: %+v, %v", folder, err)
		}
		var page Page
		if err := bob.db().Joins("Folder").First(&page).Error; err != nil || page.Folder == nil || page.Folder.Name != "shared" {
			t.Fatalf("Joins: %+v, %v", page, err)
		}
	})
}

func TestSessionUpdateOfSomeoneElsesRow(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		for _, s := range []session{as("alice"), as("")} { // cannot read it: it is not there
			affected(t, "UPDATE", 0)(s.exec("UPDATE documents SET title = 'mine' WHERE id = ?", "b1"))
			affected(t, "Updates", 0)(changed(s.db().Model(&Document{ID: "b1"}).Update("title", "mine")))
			wantErr(t, "Save", s.db().Save(&Document{ID: "b1", OwnerID: "alice", OrgID: "org1", Title: "mine"}).Error, capebase.ErrPermission)
		}
		s := as("org1") // can read it
		_, err := s.exec("UPDATE documents SET title = 'mine' WHERE id = ?", "b1")
		wantErr(t, "UPDATE", err, capebase.ErrPermission)
		wantErr(t, "Update", s.db().Model(&Document{ID: "b1"}).Update("title", "mine").Error, capebase.ErrPermission)
		wantErr(t, "Updates", s.db().Updates(&Document{ID: "b1", Title: "mine"}).Error, capebase.ErrPermission)
		wantErr(t, "Save", s.db().Save(&Document{ID: "b1", OwnerID: "olga", OrgID: "org1", Title: "mine"}).Error, capebase.ErrPermission)
		as("privileged").wants("SELECT title FROM documents WHERE id = 'b1'", "third")
		as("privileged").wants("SELECT owner_id FROM documents WHERE id = 'b1'", "bob")
	})
}

func TestSessionBulkUpdateOverOwnAndForeignRows(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		affected(t, "UPDATE", 2)(as("alice").exec("UPDATE documents SET title = 'a'"))
		affected(t, "Update", 2)(changed(as("bob").db().Model(&Document{}).Where("1 = 1").Update("title", "b")))
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "a", "a", "b", "b", "fifth")

		// Rows that can be read alone: GORM leaves them alone, SQL is told.
		olga := as("org1")
		if err := olga.db().Create(&Document{ID: "o1", OwnerID: "olga", OrgID: "org1", Title: "o"}).Error; err != nil {
			t.Fatal(err)
		}
		olga.wantDocuments("a1", "b1", "o1")
		affected(t, "Update", 1)(changed(olga.db().Model(&Document{}).Where("1 = 1").Update("title", "mine")))
		_, err := olga.exec("UPDATE documents SET title = 'theirs'")
		wantErr(t, "UPDATE", err, capebase.ErrPermission)
		affected(t, "nothing to do", 0)(changed(olga.db().Model(&Document{}).Where("id IN ?", []string{"a1", "b1"}).Update("title", "x")))
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "a", "a", "b", "b", "fifth", "mine")
	})
}

func TestSessionUpsert(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		replace := clause.OnConflict{UpdateAll: true}
		alice, olga := as("alice"), as("org1")
		mine := func(id string) Document { return Document{ID: id, OwnerID: "alice", OrgID: "org1", Title: "mine"} }
		for _, id := range []string{"b1", "n1"} {
			row := mine(id)
			wantErr(t, id, alice.db().Clauses(replace).Create(&row).Error, capebase.ErrPermission)
			wantErr(t, id+" among others", alice.db().Clauses(replace).Create([]Document{mine("a1"), mine("a9"), mine(id)}).Error, capebase.ErrPermission)
			wantErr(t, id+", saved", alice.db().Save([]Document{mine("a1"), mine(id)}).Error, capebase.ErrPermission)
		}
		theirs := Document{ID: "b1", OwnerID: "olga", OrgID: "org1"}
		wantErr(t, "a row that can be read", olga.db().Clauses(replace).Create(&theirs).Error, capebase.ErrPermission)
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "first", "second", "third", "fourth", "fifth")

		if err := alice.db().Clauses(clause.OnConflict{DoNothing: true}).Create(&theirs).Error; err != nil { // which is done
			t.Fatal(err)
		}
		for range 2 { // the second time it changes nothing
			if err := alice.db().Clauses(replace).Create([]Document{mine("a1"), mine("a9")}).Error; err != nil {
				t.Fatal(err)
			}
		}
		same := Document{ID: "b2", OwnerID: "bob", OrgID: "org2", Title: "fourth"} // a guess at what cannot be read
		wantErr(t, "a row as it is", alice.db().Clauses(replace).Create(&same).Error, capebase.ErrPermission)
		if err := alice.db().Save(&Document{ID: "a8", OwnerID: "alice", Title: "new"}).Error; err != nil {
			t.Fatal(err)
		}
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "mine", "second", "new", "mine", "third", "fourth", "fifth")
	})
}

// TestSessionWithGORMsOtherModes prepares statements and begins no transactions of its own.
func TestSessionWithGORMsOtherModes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		config := capebase.Config{Gorm: gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true}}
		as := sessionsWith(t, target, config, publishDocument)
		seedDocuments(as("privileged"))
		alice, olga := as("alice"), as("org1")
		for range 2 {
			alice.wantDocuments("a1", "a2")
			olga.wantDocuments("a1", "b1")
			wantErr(t, "hand over", alice.db().Model(&Document{}).Where("1 = 1").Update("owner_id", "bob").Error, capebase.ErrPermission)
			wantErr(t, "not one's own", olga.db().Model(&Document{ID: "a1"}).Update("title", "x").Error, capebase.ErrPermission)
			wantErr(t, "in SQL", olga.db().Exec("UPDATE documents SET title = ?", "x").Error, capebase.ErrPermission)
			wantErr(t, "in a transaction", alice.Transaction(alice.ctx, func(ctx context.Context) error {
				affected(t, "own", 2)(changed(alice.DB(ctx).Model(&Document{}).Where("1 = 1").Update("title", "x")))
				return errGaveUp
			}), errGaveUp)
		}
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "first", "second", "third", "fourth", "fifth")
	})
}

func TestSessionDeleteOfForeignRowsDeletesNone(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		affected(t, "DELETE", 0)(as("alice").exec("DELETE FROM documents WHERE owner_id = 'bob'"))
		affected(t, "Delete", 0)(changed(as("alice").db().Where("owner_id = ?", "bob").Delete(&Document{})))
		affected(t, "Delete by key", 0)(changed(as("alice").db().Delete(&Document{ID: "b1"})))
		olga := as("org1")
		wantErr(t, "Delete by key", olga.db().Delete(&Document{ID: "b1"}).Error, capebase.ErrPermission)
		affected(t, "bulk Delete", 0)(changed(olga.db().Where("title <> ''").Delete(&Document{})))
		_, err := olga.exec("DELETE FROM documents WHERE id = 'b1'")
		wantErr(t, "DELETE", err, capebase.ErrPermission)
		affected(t, "own", 1)(as("bob").exec("DELETE FROM documents WHERE org_id = 'org2'"))
		as("privileged").wantDocuments("a1", "a2", "b1", "n1")
	})
}

func TestSessionUpdateThatHandsTheRowToAnother(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		s := as("alice")
		_, err := s.exec("UPDATE documents SET owner_id = 'bob' WHERE id = 'a1'")
		wantErr(t, "UPDATE", err, capebase.ErrPermission)
		wantErr(t, "Update", s.db().Model(&Document{ID: "a1"}).Update("owner_id", "bob").Error, capebase.ErrPermission)
		wantErr(t, "Save", s.db().Save(&Document{ID: "a1", OwnerID: "bob", OrgID: "org1", Title: "first"}).Error, capebase.ErrPermission)
		s.wantDocuments("a1", "a2")
		affected(t, "admin", 1)(as("admin").exec("UPDATE documents SET owner_id = 'bob' WHERE id = 'a1'"))
		s.wantDocuments("a2")
	})
}

func TestSessionPrivileged(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		alice, privileged := as("alice"), as("privileged")
		affected(t, "privileged", 5)(privileged.exec("UPDATE documents SET title = 'all'"))
		privileged = alice.within(auth.Privileged(alice.ctx, "alice for everybody"))
		privileged.wantDocuments("a1", "a2", "b1", "b2", "n1")
		affected(t, "privileged", 1)(changed(privileged.db().Delete(&Document{ID: "n1"})))
		for range 20 { // whatever connection it gets
			alice.wantDocuments("a1", "a2")
		}
		affected(t, "limited again", 2)(alice.exec("UPDATE documents SET title = 'own'"))
		as("bob").wants("SELECT title FROM documents ORDER BY id", "all", "all")
	})
}

func TestSessionOfAModelWithoutAnyRuleIsClosed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, func(c *capebase.Cape) { capebase.Publish[Document](c) })
		seedDocuments(as("privileged"))
		s := as("admin")
		s.wantDocuments()
		wantErr(t, "Create", s.db().Create(&Document{ID: "x"}).Error, capebase.ErrPermission)
		_, err := s.exec("INSERT INTO documents (id, owner_id, org_id, title) VALUES ('x', 'root', 'o', 't')")
		wantErr(t, "INSERT", err, capebase.ErrPermission)
		affected(t, "UPDATE", 0)(s.exec("UPDATE documents SET title = 'x'"))
		affected(t, "DELETE", 0)(s.exec("DELETE FROM documents"))
		as("privileged").wantDocuments("a1", "a2", "b1", "b2", "n1")
	})
}

func TestSessionOfAReadOnlyIdentity(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		s := as("reader")
		s.wantDocuments("a1", "a2")
		_, err := s.exec("UPDATE documents SET title = 'x'")
		wantErr(t, "UPDATE", err, capebase.ErrPermission)
		wantErr(t, "Create", s.db().Create(&Document{ID: "r1", OwnerID: "alice"}).Error, capebase.ErrPermission)
		wantErr(t, "Delete", s.db().Delete(&Document{ID: "a1"}).Error, capebase.ErrPermission)
		as("privileged").wantDocuments("a1", "a2", "b1", "b2", "n1")
	})
}
