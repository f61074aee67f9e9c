package sqldriver_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Note is a model as users have them.
type Note struct {
	gorm.Model
	Title string
	Due   *time.Time
	Tags  []Tag
}

// Tag belongs to a Note.
type Tag struct {
	ID     uint
	NoteID *uint
	Name   string `gorm:"uniqueIndex;size:100"`
}

func openGORM(t *testing.T, target dbtest.Target, prepare bool) (bed, *gorm.DB) {
	t.Helper()
	backend := backendOf(t, target)
	b := bed{DB: open(t, backend, sqldriver.Options{WriteWait: 2 * time.Second}), t: t, target: target}
	g, err := gorm.Open(backend.Gorm(b.SQL()), &gorm.Config{PrepareStmt: prepare, Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AutoMigrate(&Note{}, &Tag{}); err != nil {
		t.Fatal(err)
	}
	return b, g
}

func TestGORM(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]bool{"plain": false, "PrepareStmt": true} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
				b, g := openGORM(t, target, prepare)
				testNotes(t, g.WithContext(t.Context()))
				testGORMTransactions(t, b, g)
			})
		})
	}
}

func testNotes(t *testing.T, g *gorm.DB) {
	t.Helper()
	due := time.Date(2030, 1, 2, 3, 4, 5, 678901234, time.FixedZone("x", 3600))
	notes := []Note{
		{Title: "first", Due: &due, Tags: []Tag{{Name: "a"}, {Name: "b"}}},
		{Title: "second"},
	}
	if err := g.Create(&notes).Error; err != nil {
		t.Fatal(err)
	}
	if notes[0].ID == 0 || notes[1].ID == notes[0].ID || notes[0].Tags[1].ID == 0 {
		t.Errorf("keys were not filled in: %+v", notes)
	}
	var read Note
	if err := g.Preload("Tags").First(&read, notes[0].ID).Error; err != nil {
		t.Fatal(err)
	}
	if want := due.UTC().Truncate(time.Microsecond); read.Due == nil || !read.Due.Equal(want) || read.Due.Location() != time.UTC || len(read.Tags) != 2 {
		t.Errorf("read %+v, want due %v and two tags", read, want)
	}
	if err := g.Model(&read).Update("title", "changed").Error; err != nil {
		t.Error(err)
	}
	if err := g.Delete(&Note{}, notes[1].ID).Error; err != nil {
		t.Error(err)
	}
	var titles []string
	if err := g.Model(&Note{}).Pluck("title", &titles).Error; err != nil || len(titles) != 1 || titles[0] != "changed" {
		t.Errorf("titles %v, %v", titles, err)
	}
	var latest time.Time
	if err := g.Raw("SELECT max(created_at) FROM notes").Row().Scan(&latest); err != nil || time.Since(latest) > time.Hour {
		t.Errorf("max(created_at) is %v, %v", latest, err)
	}
	rows, err := g.Model(&Note{}).Rows()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var note Note
		if err := g.ScanRows(rows, &note); err != nil {
			t.Error(err)
		}
		if err := g.Create(&Note{Title: "beside " + note.Title}).Error; err != nil { // while the rows are open
			t.Error(err)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Error(err)
	}
}

func testGORMTransactions(t *testing.T, b bed, g *gorm.DB) {
	t.Helper()
	ctx := t.Context()
	count := func(ctx context.Context) (n int64) {
		if err := g.WithContext(ctx).Model(&Tag{}).Count(&n).Error; err != nil {
			t.Error(err)
		}
		return n
	}
	before := count(ctx)
	err := g.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&Tag{Name: "kept"}).Error; err != nil {
			return err
		}
		failed := tx.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&Tag{Name: "undone"}).Error; err != nil {
				return err
			}
			return tx.Create(&Tag{Name: "kept"}).Error // a duplicate
		})
		if failed == nil {
			t.Error("a duplicate was created")
		}
		return tx.Transaction(func(tx *gorm.DB) error { return tx.Create(&Tag{Name: "kept too"}).Error })
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(ctx); n != before+2 {
		t.Errorf("%d tags more, want 2", n-before)
	}

	// A session with Update's context joins it, and so does its own transaction.
	err = b.Update(ctx, func(inner context.Context, _ *sqldriver.Conn) error {
		session := g.WithContext(inner)
		if err := session.Create(&Tag{Name: "joined"}).Error; err != nil {
			return err
		}
		err := session.Transaction(func(tx *gorm.DB) error {
			return errors.Join(tx.Create(&Tag{Name: "nested"}).Error, errMine)
		})
		wantError(t, err, errMine)
		if inside, outside := count(inner), count(ctx); inside != before+3 || outside != before+2 {
			t.Errorf("inside %d, outside %d more; want 3 and 2", inside-before, outside-before)
		}
		return errMine
	})
	wantError(t, err, errMine)
	if n := count(ctx); n != before+2 {
		t.Errorf("%d tags more after the rollback, want 2", n-before)
	}
}
