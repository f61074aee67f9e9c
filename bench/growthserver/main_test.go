package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/todo/todotest"
	"github.com/capebase/capebase/bench/internal/users"
)

// TestServes: the server is the todo server, whatever rules and resources there are beside.
func TestServes(t *testing.T) {
	for _, o := range []options{{rules: 1}, {rules: 3, roles: 2, resources: 3}} {
		handler, closeAll, err := o.open(t.Context(), child.Config{Database: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Users: todotest.Users})
		if err != nil {
			t.Fatal(err)
		}
		err = todotest.Check(t.Context(), handler, todo.REST{})
		for part := range o.resources + 1 {
			want := http.StatusOK
			if part == o.resources {
				want = http.StatusNotFound
			}
			if got := status(handler, users.Make(1)[0].Token, "/"+todo.Part(part)); got != want {
				t.Errorf("part %d of %d: want %d, got %d", part, o.resources, want, got)
			}
		}
		if got := status(handler, users.Auditor, "/audit"); got != http.StatusOK {
			t.Errorf("the auditor got %d", got)
		}
		if err := errors.Join(err, closeAll()); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func status(handler http.Handler, token, path string) int {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}

func TestRefuses(t *testing.T) {
	for want, o := range map[string]options{"want sqlite:PATH": {}, fmt.Sprintf("at most %d", maxResources): {resources: maxResources + 1}} {
		database := ""
		if o.resources > 0 {
			database = "sqlite:x.db"
		}
		if _, _, err := o.open(t.Context(), child.Config{Database: database}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
