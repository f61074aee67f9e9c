package apitest

import (
	"net/http"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Seat has a key whose parts may be zero, and hooks.
type Seat struct {
	Hall  int64  `json:"hall" gorm:"primaryKey;autoIncrement:false"`
	Place int64  `json:"place" gorm:"primaryKey;autoIncrement:false"`
	Guest string `json:"guest"`
}

func (*Seat) BeforeSave(*gorm.DB) error   { return nil }
func (*Seat) BeforeDelete(*gorm.DB) error { return nil }

func TestHooksWriteOneRow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Seat](c).Allow(policy.All, policy.Anyone())
		})
		anyone := a.as("")
		anyone.post("/seat", `[{"hall":0,"place":5,"guest":"a"},{"hall":1,"place":5,"guest":"b"},{"hall":0,"place":0,"guest":"c"}]`).want(http.StatusCreated)
		anyone.patch("/seat/0,5", `{"guest":"x"}`).want(http.StatusOK)
		anyone.patch("/seat/0,0", `{"guest":"y"}`).want(http.StatusOK)
		if got := anyone.get("/seat").values("guest"); len(got) != 3 || got[0] != "y" || got[1] != "x" || got[2] != "b" {
			t.Fatalf("guests: %v", got)
		}
		anyone.delete("/seat/0,0").want(http.StatusNoContent)
		anyone.delete("/seat/0,5").want(http.StatusNoContent)
		if got := anyone.get("/seat").values("guest"); len(got) != 1 || got[0] != "b" {
			t.Fatalf("guests: %v", got)
		}
	})
}

// Feature has defaults in the database, and a hook that forces a value.
type Feature struct {
	ID      int64  `json:"id"`
	Name    string `json:"name" gorm:"size:50;uniqueIndex"`
	Enabled bool   `json:"enabled" gorm:"default:true"`
	Level   int64  `json:"level" gorm:"default:7"`
	Label   string `json:"label" gorm:"size:50;default:none"`
}

func (f *Feature) BeforeCreate(tx *gorm.DB) error {
	switch f.Name {
	case "forced":
		f.Enabled = true
	case "wrong":
		return sharedMistake()
	}
	return tx.Statement.Context.Err()
}

// sharedMistake has locations of the hook's own.
func sharedMistake() error {
	return &capebase.Error{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "wrong",
		Errors: []capebase.FieldError{{Location: "x", Message: "not of a body"}, {Location: "body.name", Message: "wrong"}}}
}

// TestHooksKeepZeros: what a client sends is stored, be it the zero of Go and the column have a default; a hook has the last word.
func TestHooksKeepZeros(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		config := capebase.Config{Gorm: gorm.Config{TranslateError: true}}
		a := startWith(t, target, config, func(c *capebase.Cape) {
			capebase.Publish[Feature](c).Allow(policy.All, policy.Anyone())
		})
		for body, want := range map[string]string{
			`{"name":"zeros","enabled":false,"level":0,"label":""}`: `false 0 ""`,
			`{"name":"defaults"}`: `true 7 "none"`,
			`{"name":"given","enabled":true,"level":3,"label":"x"}`: `true 3 "x"`,
			`{"name":"forced","enabled":false,"level":0}`:           `true 0 "none"`,
		} {
			row := a.as("").post("/feature", body).want(http.StatusCreated).row()
			got := toJSON(t, row["enabled"]) + " " + toJSON(t, row["level"]) + " " + toJSON(t, row["label"])
			if got != want {
				t.Errorf("%s: stored %s, want %s", body, got, want)
			}
		}
		a.as("").post("/feature", `{"name":"given"}`).problem(http.StatusConflict, "conflict", "body.name")
		a.as("").post("/feature", `[{"name":"right"},{"name":"wrong"}]`).problem(http.StatusUnprocessableEntity, "invalid", "x", "body[1].name")
		a.as("").post("/feature", `{"name":"wrong"}`).problem(http.StatusUnprocessableEntity, "invalid", "x", "body.name")
	})
}

// Domain has a name that only one row may have.
type Domain struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner" gorm:"size:50"`
	Name  string `json:"name" gorm:"size:50;uniqueIndex"`
	State string `json:"state" gorm:"size:50;default:draft"`
}

// HookedDomain is written through GORM; a hook names the owner.
type HookedDomain struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner" gorm:"size:50"`
	Name  string `json:"name" gorm:"size:50;uniqueIndex"`
}

func (d *HookedDomain) BeforeSave(*gorm.DB) error {
	if d.Owner == "me" {
		d.Owner = "bob"
	}
	return nil
}

// TestConstraintsKeepSecrets: who may not write a row does not learn from a constraint what other rows there are.
func TestConstraintsKeepSecrets(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			domains := capebase.Publish[Domain](c)
			domains.Allow(policy.All, policy.Owner(&domains.Fields.Owner), policy.Field(&domains.Fields.State).Eq("draft"))
			hooked := capebase.Publish[HookedDomain](c)
			hooked.Allow(policy.All, policy.Owner(&hooked.Fields.Owner))
		})
		for _, path := range []string{"/domain", "/hookeddomain"} {
			a.as("alice").post(path, `{"owner":"alice","name":"taken"}`).want(http.StatusCreated)
			location := a.as("bob").post(path, `{"owner":"bob","name":"free"}`).want(http.StatusCreated).Header.Get("Location")
			for _, name := range []string{"taken", "other"} {
				a.as("").post(path, `{"owner":"bob","name":"`+name+`"}`).problem(http.StatusUnauthorized, "unauthenticated")
				a.as("bob").post(path, `{"owner":"carol","name":"`+name+`"}`).problem(http.StatusForbidden, "permission")
				a.as("bob").post(path, `[{"owner":"carol","name":"`+name+`"}]`).problem(http.StatusForbidden, "permission")
				a.as("bob").patch(location, `{"owner":"carol","name":"`+name+`"}`).problem(http.StatusForbidden, "permission")
			}
			a.as("bob").post(path, `{"owner":"bob","name":"taken"}`).problem(http.StatusConflict, "conflict", "body.name")
			a.as("bob").post(path, `[{"owner":"bob","name":"taken"}]`).problem(http.StatusConflict, "conflict", "body[0].name")
			a.as("bob").patch(location, `{"name":"taken"}`).problem(http.StatusConflict, "conflict", "body.name")
		}
		a.as("bob").post("/domain", `{"owner":"bob","name":"taken","state":"live"}`).problem(http.StatusForbidden, "permission")
		a.as("bob").post("/hookeddomain", `{"owner":"me","name":"taken"}`).problem(http.StatusConflict, "conflict", "body.name")
	})
}

// Gate holds its transaction for as long as the test wants.
type Gate struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type gateKey struct{}

// gate is what a request's context brings to the hook.
type gate struct{ reached, open chan struct{} }

func (*Gate) BeforeCreate(tx *gorm.DB) error {
	if g, ok := tx.Statement.Context.Value(gateKey{}).(gate); ok {
		close(g.reached)
		<-g.open
	}
	return nil
}

func TestBusyWriter(t *testing.T) {
	config := capebase.Config{Limits: capebase.Limits{WriteWait: 500 * time.Millisecond}}
	a := startWith(t, dbtest.New(t, dbtest.SQLite), config, func(c *capebase.Cape) {
		capebase.Publish[Gate](c).Allow(policy.All, policy.Anyone())
	})
	g := gate{make(chan struct{}), make(chan struct{})}
	held := make(chan int)
	go func() { held <- serve(t, a, http.MethodPost, "/gate", `{"name":"slow"}`, gateKey{}, g).Code }()
	<-g.reached
	answer := a.as("").post("/gate", `{"name":"quick"}`)
	close(g.open)
	answer.problem(http.StatusServiceUnavailable, "unavailable")
	if answer.Header.Get("Retry-After") == "" {
		t.Fatal("no Retry-After")
	}
	if code := <-held; code != http.StatusCreated {
		t.Fatalf("the slow one: %d", code)
	}
}
