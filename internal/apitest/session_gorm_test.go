package apitest

import (
	"database/sql"
	"slices"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// More of what GORM can do, where the caller's rows and others' lie side by side.

func ids(documents []Document) []string {
	found := make([]string, len(documents))
	for i := range documents {
		found[i] = documents[i].ID
	}
	slices.Sort(found)
	return found
}

func TestSessionQueriesOfGORM(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		db := as("orgs").db() // a1, b1, b2
		for what, query := range map[string]*gorm.DB{
			"subquery":    db.Where("id IN (?)", db.Model(&Document{}).Select("id")),
			"from":        db.Table("(?) AS documents2", db.Model(&Document{})).Where("1 = 1"),
			"named":       db.Where("title <> @t", sql.Named("t", "none")),
			"struct":      db.Where(&Document{}).Not(Document{Title: "none"}),
			"group":       db.Where(db.Where("title = ?", "first").Or("1 = 1")),
			"locking":     db.Clauses(clause.Locking{Strength: "UPDATE"}).Where("title <> ''"),
			"limit":       db.Order("title desc").Limit(10).Offset(0),
			"quoted":      db.Table("documents").Where(clause.Neq{Column: clause.Column{Table: "documents", Name: "title"}, Value: "none"}),
			"alias":       db.Table("documents AS d").Select("d.*").Where("d.id <> ''"),
			"join":        db.Select("documents.*").Joins("JOIN documents AS other ON other.id = documents.id"),
			"with string": db.Where("title <> 'FROM documents; -- \" `'"),
		} {
			var found []Document
			if err := query.Find(&found).Error; err != nil || !slices.Equal(ids(found), []string{"a1", "b1", "b2"}) {
				t.Errorf("%s: %q, %v", what, ids(found), err)
			}
		}
		var groups []struct {
			OrgID string
			N     int
		}
		if err := db.Model(&Document{}).Select("org_id, count(*) AS n").Group("org_id").Having("count(*) > 1").Scan(&groups).Error; err != nil || len(groups) != 1 || groups[0].N != 2 {
			t.Errorf("group: %+v, %v", groups, err)
		}
		var last Document
		if err := db.Last(&last).Error; err != nil || last.ID != "b2" {
			t.Errorf("Last: %+v, %v", last, err)
		}
		if err := db.Where("id = ?", "n1").FirstOrInit(&last).Error; err != nil || last.Title == "fifth" {
			t.Errorf("FirstOrInit: %+v, %v", last, err)
		}
		var distinct int64
		if err := db.Model(&Document{}).Distinct("org_id").Count(&distinct).Error; err != nil || distinct != 2 {
			t.Errorf("Distinct: %d, %v", distinct, err)
		}
		var title string
		if err := db.Raw("SELECT title FROM documents WHERE id = ?", "n1").Row().Scan(&title); err != sql.ErrNoRows {
			t.Errorf("Row: %q, %v", title, err)
		}
	})
}

func TestSessionWritesOfGORM(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		alice := as("alice")
		db := alice.db()
		affected(t, "Expr", 2)(changed(db.Model(&Document{}).Where("1 = 1").Update("title", gorm.Expr("upper(title)"))))
		affected(t, "subquery", 1)(changed(db.Model(&Document{ID: "a1"}).Update("title",
			as("alice").db().Model(&Document{}).Select("concat(count(*), ' rows')"))))
		affected(t, "struct", 1)(changed(db.Where(&Document{ID: "a2"}).Updates(&Document{Title: "by struct"})))
		affected(t, "nothing to set", 0)(changed(db.Model(&Document{ID: "a1"}).Updates(map[string]any{})))
		affected(t, "another version", 0)(changed(db.Model(&Document{ID: "a1"}).Where("title = ?", "old").Update("title", "new")))
		affected(t, "table", 2)(changed(db.Table("documents").Where("id <> ''").Updates(map[string]any{"org_id": "org1"})))
		alice.wants("SELECT title FROM documents ORDER BY id", "2 rows", "by struct")
		var changedRows []Document
		returning := db.Model(&changedRows).Clauses(clause.Returning{}).Where("1 = 1").Update("org_id", "org4")
		if affected(t, "RETURNING", 2)(changed(returning)); len(changedRows) > 0 && !slices.Equal(ids(changedRows), []string{"a1", "a2"}) {
			t.Errorf("RETURNING gave %q", ids(changedRows))
		}
		err := db.Transaction(func(tx *gorm.DB) error {
			if err := tx.SavePoint("here").Error; err != nil {
				return err
			}
			affected(t, "delete", 2)(changed(tx.Where("1 = 1").Delete(&Document{})))
			return tx.RollbackTo("here").Error
		})
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, "no condition", db.Delete(&Document{}).Error, gorm.ErrMissingWhereClause)
		affected(t, "global", 2)(changed(db.Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(&Document{})))
		as("privileged").wantDocuments("b1", "b2", "n1")
	})
}

// TestSessionAssociations writes through associations; what is someone else's stays.
func TestSessionAssociations(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, publishFolders)
		alice, bob := as("alice"), as("bob")
		folder := Folder{Name: "alice's", Pages: []Page{{Text: "one"}}}
		if err := alice.db().Create(&folder).Error; err != nil {
			t.Fatal(err)
		}
		if err := alice.db().Model(&folder).Association("Pages").Append(&Page{Text: "two"}); err != nil {
			t.Fatal(err)
		}
		if n := bob.db().Model(&folder).Association("Pages").Count(); n != 0 {
			t.Errorf("bob counts %d", n)
		}
		if n := alice.db().Model(&folder).Association("Pages").Count(); n != 2 {
			t.Errorf("alice counts %d", n)
		}
		// A belongs-to that exists already is left as it is.
		if err := alice.db().Create(&Page{Text: "three", Folder: &Folder{ID: folder.ID, Name: "renamed"}}).Error; err != nil {
			t.Errorf("an existing folder: %v", err)
		}
		// To take over someone else's pages is refused.
		taken := Folder{Name: "bob's", Pages: []Page{{ID: folder.Pages[0].ID, Text: "taken"}}}
		wantErr(t, "taking over", bob.db().Create(&taken).Error, capebase.ErrPermission)
		as("privileged").wants("SELECT name FROM folders", "alice's")
		as("privileged").wants("SELECT text FROM pages WHERE writer = 'alice' ORDER BY id", "one", "two", "three")
	})
}

// Elsewhere is in a schema of its own.
type Elsewhere struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner" cape:"auth.id"`
	Text  string `json:"text"`
}

func (Elsewhere) TableName() string { return "app.elsewheres" }

func TestSessionOfATableInASchema(t *testing.T) {
	as := sessions(t, dbtest.New(t, dbtest.Postgres), func(c *capebase.Cape) {
		elsewhere := capebase.Publish[Elsewhere](c)
		elsewhere.Allow(policy.Read, policy.Owner(&elsewhere.Fields.Owner))
		elsewhere.Allow(policy.Read, policy.Role("admin"))
		elsewhere.Allow(policy.Write, policy.Owner(&elsewhere.Fields.Owner))
	})
	alice, bob, admin := as("alice"), as("bob"), as("admin")
	if err := alice.db().Create([]Elsewhere{{Text: "x"}, {Text: "y"}}).Error; err != nil {
		t.Fatal(err)
	}
	for _, s := range []session{alice, bob, admin} {
		var found []Elsewhere
		if err := s.db().Find(&found).Error; err != nil || len(found) != map[string]int{"alice": 2, "bob": 0, "admin": 2}[s.who] {
			t.Errorf("%s: %+v, %v", s.who, found, err)
		}
	}
	affected(t, "own", 1)(changed(alice.db().Model(&Elsewhere{ID: 1}).Update("text", "z")))
	affected(t, "cannot be read", 0)(changed(bob.db().Model(&Elsewhere{ID: 1}).Update("text", "z")))
	wantErr(t, "cannot be changed", admin.db().Model(&Elsewhere{ID: 1}).Update("text", "z").Error, capebase.ErrPermission)
	affected(t, "bulk", 0)(changed(admin.db().Where("1 = 1").Delete(&Elsewhere{})))
	wantErr(t, "managed", alice.db().Model(&Elsewhere{ID: 1}).Update("owner", "bob").Error, capebase.ErrPermission)
}

// TestSessionOfAnotherGORM opens GORM over the pool as any program would: what is stored decides, without CapeBase's plugin.
func TestSessionOfAnotherGORM(t *testing.T) {
	as := sessions(t, dbtest.New(t, dbtest.Postgres), publishDocument)
	seedDocuments(as("privileged"))
	alice, olga := as("alice"), as("org1")
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: alice.SQL()}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	var found []Document
	if err := g.WithContext(alice.ctx).Find(&found).Error; err != nil || !slices.Equal(ids(found), []string{"a1", "a2"}) {
		t.Fatalf("%q, %v", ids(found), err)
	}
	if err := g.WithContext(alice.ctx).Create(&Document{ID: "a3", OwnerID: "alice"}).Error; err != nil {
		t.Fatal(err)
	}
	affected(t, "own", 3)(changed(g.WithContext(alice.ctx).Model(&Document{}).Where("1 = 1").Update("title", "x")))
	wantErr(t, "theirs", g.WithContext(olga.ctx).Model(&Document{ID: "b1"}).Update("title", "x").Error, capebase.ErrPermission)
	wantErr(t, "hand over", g.WithContext(alice.ctx).Model(&Document{ID: "a1"}).Update("owner_id", "bob").Error, capebase.ErrPermission)
}
