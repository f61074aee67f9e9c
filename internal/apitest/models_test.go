package apitest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Address is embedded.
type Address struct {
	Street string `json:"street"`
	City   string `json:"city" maxLength:"50"`
}

// Colour is an enum.
type Colour string

// Point has its own form in the database and in JSON.
type Point struct{ X, Y int }

func (p Point) Value() (driver.Value, error) { return fmt.Sprintf("%d:%d", p.X, p.Y), nil }

func (p *Point) Scan(v any) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return fmt.Errorf("a point from %T", v)
	}
	_, err := fmt.Sscanf(text, "%d:%d", &p.X, &p.Y)
	return err
}

// Everything has a field of each kind.
type Everything struct {
	ID       uuid.UUID       `json:"id" gorm:"primaryKey"`
	Flag     bool            `json:"flag"`
	Maybe    *bool           `json:"maybe"`
	Small    int8            `json:"small"`
	Big      int64           `json:"big"`
	Unsigned uint64          `json:"unsigned"`
	Ratio    float64         `json:"ratio"`
	Price    string          `json:"price" gorm:"type:decimal(20,4)"`
	Text     string          `json:"text"`
	Bytes    []byte          `json:"bytes"`
	At       time.Time       `json:"at"`
	Later    *time.Time      `json:"later"`
	Nick     sql.NullString  `json:"nick"`
	Count    sql.Null[int64] `json:"count"`
	Colour   Colour          `json:"colour" enum:"red,green"`
	Tags     []string        `json:"tags" gorm:"serializer:json"`
	Raw      json.RawMessage `json:"raw" gorm:"type:json"`
	Place    Point           `json:"place"`
	Address  `gorm:"embeddedPrefix:home_"`
}

const everything = `{"id":"01890a5d-ac96-774b-bcce-b302099a8057","flag":true,"maybe":null,"small":-128,"big":9223372036854775807,` +
	`"unsigned":9007199254740993,"ratio":0.30000000000000004,"price":"12345678901234.5","text":"é É 😀 \"quoted\" 'x' \\ % trailing ",` +
	`"bytes":"AP8Q","at":"2026-02-28T23:59:59.999999Z","later":"0001-01-01T00:00:00Z","nick":"nick","count":null,"colour":"red",` +
	`"tags":["a","b"],"raw":{"a":[1,2.5,null],"b":"x"},"place":{"X":1,"Y":-2},"street":"Main","city":"Köln"}`

func TestEveryKindOfField(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Everything](c).Allow(policy.All, policy.Anyone())
		})
		created := a.as("").post("/everything", everything).want(http.StatusCreated)
		if got := strings.TrimSpace(created.Body); got != everything {
			t.Fatalf("created\n%s\nwant\n%s", got, everything)
		}
		location := created.Header.Get("Location")
		if got := strings.TrimSpace(a.as("").get(location).Body); got != everything {
			t.Fatalf("read\n%s\nwant\n%s", got, everything)
		}
		for filter, matches := range map[string]bool{
			"big=9223372036854775807":                    true,
			"big=gt.9223372036854775806":                 true,
			"unsigned=eq.9007199254740992":               false,
			"price=eq.12345678901234.50":                 true,
			"price=eq.12345678901234.51":                 false,
			"text=like.*trailing%20":                     true,
			"text=like.*trailing":                        false,
			"text=ilike.%C3%A9%20%C3%89*":                true,
			"text=ilike.%C3%89%20%C3%89*":                false,
			"at=eq.2026-02-28T23:59:59.999999Z":          true,
			"at=eq.2026-03-01T00:59:59.999999%2B01:00":   true,
			"later=lt.0002-01-01":                        true,
			"maybe=is.null":                              true,
			"maybe=not.is.true":                          true,
			"raw=not.is.null":                            true,
			"bytes=eq.AP8Q":                              true,
			"id=eq.01890A5D-AC96-774B-BCCE-B302099A8057": true,
			"city=eq.K%C3%B6ln":                          true,
			"city=eq.k%C3%B6ln":                          false,
			"ratio=eq.0.30000000000000004":               true,
			"count=not.eq.1":                             false,
			"colour=in.(green,red)":                      true,
		} {
			got := len(a.as("").get("/everything?" + filter).want(http.StatusOK).values("id"))
			if (got == 1) != matches {
				t.Errorf("%s: %d rows", filter, got)
			}
		}
		for body, field := range map[string]string{
			`{"small":128}`:                              "small",
			`{"unsigned":-1}`:                            "unsigned",
			`{"unsigned":9223372036854775808}`:           "unsigned",
			`{"price":"1.23456"}`:                        "price",
			`{"price":1.5}`:                              "price",
			`{"bytes":"?"}`:                              "bytes",
			`{"at":"2026-02-30T00:00:00Z"}`:              "at",
			`{"at":"10000-01-01T00:00:00Z"}`:             "at",
			`{"colour":"blue"}`:                          "colour",
			`{"city":"` + strings.Repeat("x", 51) + `"}`: "city",
			`{"text":null}`:                              "text",
			`{"tags":"a"}`:                               "tags",
		} {
			a.as("").patch(location, body).problem(http.StatusUnprocessableEntity, "invalid", "body."+field)
		}
		row := a.as("").patch(location, `{"ratio":-0.0,"at":"2026-02-28T23:59:59.9999999+02:00","price":"-0.00","raw":null,"nick":null}`).want(http.StatusOK).row()
		if fmt.Sprint(row["ratio"]) != "0" || row["at"] != "2026-02-28T21:59:59.999999Z" || row["price"] != "0" || row["nick"] != nil {
			t.Fatalf("normalised: %v", row)
		}
	})
}

// Note is an ordinary gorm.Model with hooks and a soft delete.
type Note struct {
	gorm.Model
	UserID string `json:"user_id" cape:"auth.id"`
	Text   string `json:"text" minLength:"1"`
	Slug   string `json:"slug" cape:"readonly"`
}

func (n *Note) BeforeSave(tx *gorm.DB) error {
	if n.Text == "forbidden" {
		return capebase.ErrPermission
	}
	if n.Text == "broken" {
		return errors.New("a hook's own failure")
	}
	n.Slug = strings.ToLower(n.Text) + "-" + auth.From(tx.Statement.Context).ID
	return nil
}

func TestHooksAndSoftDelete(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			notes := capebase.Publish[Note](c)
			notes.Allow(policy.Read, policy.Anyone())
			notes.Allow(policy.Write, policy.Owner(&notes.Fields.UserID))
		})
		alice := a.as("alice")
		row := alice.post("/note", `{"text":"One"}`).want(http.StatusCreated).row()
		if row["slug"] != "one-alice" || row["deleted_at"] != nil || row["created_at"] == nil {
			t.Fatalf("created: %v", row)
		}
		row = alice.patch("/note/1", `{"text":"Two"}`).want(http.StatusOK).row()
		if row["slug"] != "two-alice" || row["text"] != "Two" {
			t.Fatalf("updated: %v", row)
		}
		alice.post("/note", `{"text":"forbidden"}`).problem(http.StatusForbidden, "permission")
		alice.post("/note", `[{"text":"ok"},{"text":"broken"}]`).problem(http.StatusInternalServerError, "internal")
		alice.post("/note", `{"text":"x","slug":"mine"}`).problem(http.StatusUnprocessableEntity, "invalid", "body.slug")
		alice.delete("/note/1").want(http.StatusNoContent)
		alice.get("/note/1").problem(http.StatusNotFound, "not_found")
		alice.delete("/note/1").problem(http.StatusNotFound, "not_found")
		if got := a.as("").with("Prefer", "count=exact").get("/note").want(http.StatusOK).Header.Get("Content-Range"); got != "*/0" {
			t.Fatalf("Content-Range %q", got)
		}
	})
}

// TestWith calls as someone without any credentials, as a test of the user's would.
func TestWith(t *testing.T) {
	a := start(t, dbtest.New(t, dbtest.SQLite), publishTodo)
	request, err := http.NewRequestWithContext(auth.With(context.Background(), auth.Identity{ID: "carol"}), http.MethodPost, "/todo", strings.NewReader(`{"task":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	w := newRecorder()
	a.ServeHTTP(w, request)
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), `"user_id":"carol"`) {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
}
