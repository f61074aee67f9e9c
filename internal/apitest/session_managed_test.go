package apitest

import (
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Managed fields in sessions: of Ticket, which has one of each source.

func onTickets(t *testing.T, test func(t *testing.T, as func(who string) session)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, publishTicket)
		test(t, func(who string) session {
			switch who {
			case "full":
				return as("").within(auth.With(t.Context(), auth.Identity{
					ID: "fay", Roles: []string{"editor", "reviewer"}, Claims: map[string]any{"org_id": "org1"},
				}))
			case "other":
				return as("").within(auth.With(t.Context(), auth.Identity{ID: "oli", Claims: map[string]any{"org_id": "org2"}}))
			}
			return as(who)
		})
	})
}

const ticketRows = "SELECT concat(text, ' ', who, ' ', coalesce(role, '-'), ' ', org_id) FROM tickets ORDER BY text"

func TestSessionFillsManagedFields(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		full, other := as("full").db(), as("other").db()
		one := Ticket{Text: "1 struct"}
		errs := []error{
			full.Create(&one).Error,
			full.Create([]Ticket{{Text: "2 slice"}, {Text: "3 slice"}}).Error,
			full.Create(&[]*Ticket{{Text: "4 pointers"}, {Text: "5 pointers"}}).Error,
			other.CreateInBatches([]Ticket{{Text: "6 batch"}, {Text: "7 batch"}, {Text: "8 batch"}}, 2).Error,
			full.Model(&Ticket{}).Create(map[string]any{"text": "9 map"}).Error,
			full.Model(&Ticket{}).Create(&[]map[string]any{{"Text": "a maps"}, {"text": "b maps", "Who": "fay"}}).Error,
			full.Clauses(clause.OnConflict{DoNothing: true}).Create(&Ticket{ID: one.ID, Text: "none"}).Error,
			full.Save(&Ticket{Text: "c save"}).Error,
			full.Where(Ticket{Text: "d first"}).FirstOrCreate(&Ticket{}).Error,
			full.Select("text").Create(&Ticket{Text: "e select"}).Error,
			full.Omit("who").Create(&Ticket{Text: "f omit"}).Error,
			full.Session(&gorm.Session{SkipHooks: true}).Create(&Ticket{Text: "g no hooks"}).Error,
			gorm.G[Ticket](full).Create(as("full").ctx, &Ticket{Text: "h generic"}),
			full.Table("tickets").Create(map[string]any{"text": "i table"}).Error,
			full.Clauses(clause.OnConflict{UpdateAll: true}).Create(&Ticket{ID: one.ID, Text: "1 upsert"}).Error,
		}
		for i, err := range errs {
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		if one.Who != "fay" || *one.Role != "editor" || one.OrgID != "org1" {
			t.Errorf("the struct has %+v", one)
		}
		const fay = " fay editor org1"
		as("full").wants(ticketRows,
			"1 upsert"+fay, "2 slice"+fay, "3 slice"+fay, "4 pointers"+fay, "5 pointers"+fay,
			"6 batch oli - org2", "7 batch oli - org2", "8 batch oli - org2", "9 map"+fay, "a maps"+fay, "b maps"+fay,
			"c save"+fay, "d first"+fay, "e select"+fay, "f omit"+fay, "g no hooks"+fay, "h generic"+fay, "i table"+fay)
	})
}

const insertTicket = "INSERT INTO tickets (text, who, role, org_id) VALUES (?, ?, ?, ?)"

func TestSessionTakesTheSameManagedValue(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		full, role := as("full"), "editor"
		if err := full.db().Create(&Ticket{Text: "1", Who: "fay", Role: &role, OrgID: "org1"}).Error; err != nil {
			t.Fatal(err)
		}
		affected(t, "INSERT", 1)(full.exec(insertTicket, "2", "fay", "editor", "org1"))
		affected(t, "INSERT without optional", 1)(as("other").exec(insertTicket, "3", "oli", nil, "org2"))
		// A claim of several values fills nothing: one of them has to be given.
		orgs := as("orgs")
		wantErr(t, "none of several", orgs.db().Create(&Ticket{Text: "4"}).Error, capebase.ErrPermission)
		if err := orgs.db().Create(&Ticket{Text: "4", OrgID: "org2"}).Error; err != nil {
			t.Fatal(err)
		}
		affected(t, "INSERT one of several", 1)(orgs.exec(insertTicket, "5", "otto", nil, "org1"))
		full.wants(ticketRows, "1 fay editor org1", "2 fay editor org1", "3 oli - org2", "4 otto - org2", "5 otto - org1")
	})
}

func TestSessionRefusesAnotherManagedValue(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		full, admin := as("full"), "admin"
		for what, ticket := range map[string]Ticket{
			"who": {Text: "x", Who: "oli"}, "role": {Text: "x", Role: &admin}, "org_id": {Text: "x", OrgID: "org2"},
		} {
			wantErr(t, what, full.db().Create(&ticket).Error, capebase.ErrPermission)
			wantErr(t, what+" in a slice", full.db().Create([]Ticket{{Text: "ok"}, ticket}).Error, capebase.ErrPermission)
			wantErr(t, what+" upsert", full.db().Clauses(clause.OnConflict{UpdateAll: true}).Create(&ticket).Error, capebase.ErrPermission)
		}
		wantErr(t, "map", full.db().Model(&Ticket{}).Create(map[string]any{"text": "x", "who": "oli"}).Error, capebase.ErrPermission)
		wantErr(t, "map by field name", full.db().Model(&Ticket{}).Create(map[string]any{"Text": "x", "OrgID": "org2"}).Error, capebase.ErrPermission)
		wantErr(t, "expression", full.db().Model(&Ticket{}).Create(map[string]any{"text": "x", "who": gorm.Expr("lower('OLI')")}).Error, capebase.ErrPermission)
		for _, row := range [][]any{{"x", "oli", "editor", "org1"}, {"x", "fay", "admin", "org1"}, {"x", "fay", nil, "org1"}, {"x", "fay", "editor", "org2"}} {
			_, err := full.exec(insertTicket, row...)
			wantErr(t, "INSERT", err, capebase.ErrPermission)
			_, err = full.exec(insertTicket+", ('ok', 'fay', 'editor', 'org1')", row...)
			wantErr(t, "INSERT of several", err, capebase.ErrPermission)
		}
		full.wants(ticketRows)
	})
}

func TestSessionIdentityLacksAManagedValue(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		for _, who := range []string{"alice", ""} {
			s := as(who)
			wantErr(t, "Create", s.db().Create(&Ticket{Text: "x"}).Error, capebase.ErrPermission)
			wantErr(t, "Create of several", s.db().Create([]Ticket{{Text: "x"}, {Text: "y"}}).Error, capebase.ErrPermission)
			_, err := s.exec(insertTicket, "x", who, nil, "org1")
			wantErr(t, "INSERT", err, capebase.ErrPermission)
		}
		as("privileged").wants(ticketRows)
	})
}

func TestSessionManagedFieldsNeverChange(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		if err := as("full").db().Create([]Ticket{{Text: "x"}, {Text: "y"}}).Error; err != nil {
			t.Fatal(err)
		}
		for _, s := range []session{as("full"), as("other")} {
			db := s.db()
			for what, err := range map[string]error{
				"Update":        db.Model(&Ticket{ID: 1}).Update("who", "oli").Error,
				"UpdateColumn":  db.Model(&Ticket{ID: 1}).UpdateColumn("who", "oli").Error,
				"Updates":       db.Model(&Ticket{ID: 1}).Updates(Ticket{OrgID: "org2"}).Error,
				"Updates map":   db.Model(&Ticket{ID: 1}).Updates(map[string]any{"role": nil, "text": "z"}).Error,
				"Save":          db.Save(&Ticket{ID: 1, Text: "z", Who: "oli", OrgID: "org1"}).Error,
				"Save of a new": db.Save(&Ticket{ID: 99, Text: "z", Who: "eve", OrgID: "org1"}).Error,
				"bulk":          db.Model(&Ticket{}).Where("id > 0").Update("org_id", "org2").Error,
			} {
				wantErr(t, what, err, capebase.ErrPermission)
			}
			_, err := s.exec("UPDATE tickets SET who = 'oli' WHERE id = 1")
			wantErr(t, "UPDATE", err, capebase.ErrPermission)
			_, err = s.exec("UPDATE tickets SET role = NULL, text = 'z'")
			wantErr(t, "UPDATE of all", err, capebase.ErrPermission)
		}
		role := "editor"
		other := as("other") // whose rule allows to change the rest
		affected(t, "Update", 1)(changed(other.db().Model(&Ticket{ID: 1}).Update("text", "x2")))
		affected(t, "the same value", 1)(changed(other.db().Model(&Ticket{ID: 1}).Updates(map[string]any{"text": "x3", "who": "fay"})))
		affected(t, "Save", 1)(changed(other.db().Save(&Ticket{ID: 2, Text: "y2", Who: "fay", Role: &role, OrgID: "org1"})))
		affected(t, "UPDATE", 2)(other.exec("UPDATE tickets SET text = concat(text, '!'), org_id = 'org1'"))
		other.wants(ticketRows, "x3! fay editor org1", "y2! fay editor org1")
	})
}

func TestSessionPrivilegedSetsManagedFields(t *testing.T) {
	onTickets(t, func(t *testing.T, as func(who string) session) {
		s, role := as("privileged"), "none"
		if err := s.db().Create(&Ticket{Text: "1", Who: "anyone", Role: &role, OrgID: "org9"}).Error; err != nil {
			t.Fatal(err)
		}
		affected(t, "INSERT", 1)(s.exec(insertTicket, "2", "someone", nil, ""))
		affected(t, "Update", 1)(changed(s.db().Model(&Ticket{ID: 1}).Update("who", "somebody")))
		s.wants(ticketRows, "1 somebody none org9", "2 someone - ")
	})
}

// Counted is owned by a number.
type Counted struct {
	ID    int64 `json:"id"`
	Owner int64 `json:"owner" cape:"auth.id"`
}

func TestSessionParsesTheID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		as := sessions(t, target, func(c *capebase.Cape) {
			counted := capebase.Publish[Counted](c)
			counted.Allow(policy.All, policy.Owner(&counted.Fields.Owner))
		})
		session := func(id string) session { return as("").within(auth.With(t.Context(), auth.Identity{ID: id})) }
		row := Counted{}
		if err := session("7").db().Create(&row).Error; err != nil || row.Owner != 7 {
			t.Fatalf("%+v, %v", row, err)
		}
		wantErr(t, "007", session("007").db().Create(&Counted{}).Error, capebase.ErrPermission)
		wantErr(t, "seven", session("seven").db().Create(&Counted{}).Error, capebase.ErrPermission)
		session("007").wants("SELECT owner FROM counteds")
		session("7").wants("SELECT owner FROM counteds", "7")
	})
}
