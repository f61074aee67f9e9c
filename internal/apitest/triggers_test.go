package apitest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
)

// TestOtherTriggers: a row that a trigger of the user's changes while it is written is answered as it is stored.
func TestOtherTriggers(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		first := startWith(t, target, capebase.Config{}, publishTodo)
		statements := map[string][]string{
			"sqlite": {"CREATE TRIGGER shout AFTER INSERT ON todos BEGIN UPDATE todos SET task = upper(task) WHERE id = NEW.id; END"},
			"postgres": {
				"CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.task := upper(NEW.task); RETURN NEW; END'",
				"CREATE TRIGGER shout BEFORE INSERT ON todos FOR EACH ROW EXECUTE FUNCTION shout()",
			},
			"mysql": {"CREATE TRIGGER shout BEFORE INSERT ON todos FOR EACH ROW SET NEW.task = upper(NEW.task)"},
		}
		scheme, _, _ := strings.Cut(target.URL, ":")
		for _, statement := range statements[scheme] {
			if _, err := first.SQL().ExecContext(auth.Privileged(t.Context(), "a test"), statement); err != nil {
				t.Fatal(err)
			}
		}
		second := startWith(t, target, capebase.Config{}, publishTodo)
		if row := second.as("alice").post("/todo", `{"task":"buy milk","is_complete":false}`).want(http.StatusCreated); !strings.Contains(row.Body, "BUY MILK") {
			t.Errorf("the answer is %s", row.Body)
		}
	})
}
