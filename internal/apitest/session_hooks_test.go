package apitest

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Invoice has hooks that look at and write other tables.
type Invoice struct {
	ID      int64  `json:"id"`
	Owner   string `json:"owner" cape:"auth.id"`
	Text    string `json:"text"`
	Visible int    `json:"visible" cape:"readonly"` // how many documents its writer could read
}

func (i *Invoice) BeforeSave(tx *gorm.DB) error {
	var visible int64
	err := tx.Model(&Document{}).Count(&visible).Error
	i.Visible = int(visible)
	if i.Text == "cloned" { // a session that GORM makes of the statement that is under way
		return tx.WithContext(tx.Statement.Context).Model(&Document{}).Table("documents").Where("1 = 1").Update("owner_id", "x").Error
	}
	return err
}

func (i *Invoice) AfterSave(tx *gorm.DB) error {
	switch i.Text {
	case "forbidden":
		return tx.Create(&Document{ID: "forbidden", OwnerID: "x"}).Error
	case "swallowed":
		_ = tx.Exec("UPDATE documents SET owner_id = 'x'").Error
	case "privileged":
		ctx := auth.Privileged(tx.Statement.Context, "a hook's own row")
		return tx.Session(&gorm.Session{NewDB: true, Context: ctx}).Create(&Document{ID: "by hook", OwnerID: "x"}).Error
	}
	return nil
}

func (i *Invoice) AfterDelete(tx *gorm.DB) error {
	n, err := changed(tx.Where("1 = 1").Delete(&Document{}))
	if err == nil && n != 2 {
		err = errors.New("the hook deleted other rows than the caller's")
	}
	return err
}

func publishInvoice(c *capebase.Cape) {
	documents := capebase.Publish[Document](c)
	documents.Allow(policy.All, policy.Owner(&documents.Fields.OwnerID))
	invoices := capebase.Publish[Invoice](c)
	invoices.Allow(policy.All, policy.Owner(&invoices.Fields.Owner))
}

// TestHooksAreLimited writes a model with hooks over HTTP and in sessions: the hooks' own statements are the caller's.
func TestHooksAreLimited(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishInvoice)
		privileged := sessionOf(a, target, "privileged")
		seedDocuments(privileged)
		alice := a.as("alice")
		row := alice.post("/invoice", `{"text":"one"}`).want(http.StatusCreated).row()
		if fmt.Sprint(row["visible"]) != "2" {
			t.Fatalf("the hook saw %v", row)
		}
		alice.post("/invoice", `{"text":"forbidden"}`).problem(http.StatusForbidden, "permission")
		alice.post("/invoice", `{"text":"swallowed"}`).problem(http.StatusForbidden, "permission")
		alice.post("/invoice", `{"text":"cloned"}`).problem(http.StatusForbidden, "permission")
		alice.patch("/invoice/1", `{"text":"forbidden"}`).problem(http.StatusForbidden, "permission")
		wantIDs(t, alice.get("/invoice"), "1")
		privileged.wantDocuments("a1", "a2", "b1", "b2", "n1")
		alice.patch("/invoice/1", `{"text":"privileged"}`).want(http.StatusOK)
		privileged.wantDocuments("a1", "a2", "b1", "b2", "by hook", "n1")
		alice.post("/invoice", `{"text":"privileged"}`).problem(http.StatusConflict, "conflict")
		alice.delete("/invoice/1").want(http.StatusNoContent)
		privileged.wantDocuments("b1", "b2", "by hook", "n1")

		s := sessionOf(a, target, "bob")
		invoice := Invoice{Text: "two"}
		if err := s.db().Create(&invoice).Error; err != nil || invoice.Visible != 2 || invoice.Owner != "bob" {
			t.Fatalf("%+v, %v", invoice, err)
		}
		wantErr(t, "session", s.db().Create(&Invoice{Text: "forbidden"}).Error, capebase.ErrPermission)
		affected(t, "delete", 1)(changed(s.db().Delete(&invoice)))
		privileged.wantDocuments("by hook", "n1")
	})
}
