package main

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/todo/todotest"
	"github.com/capebase/capebase/bench/internal/users"
	"github.com/capebase/capebase/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestServes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		log := filepath.Join(t.TempDir(), "log")
		handler, closeAll, err := open(t.Context(), child.Config{Database: target.URL, Users: todotest.Users, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(todotest.Check(t.Context(), handler, todo.REST{}), closeAll()); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "msg=request") {
			t.Errorf("the log is %v, %q", err, text)
		}
	})
}

func TestUnknownDatabase(t *testing.T) {
	if _, _, err := open(t.Context(), child.Config{Database: "oracle://x"}); err == nil {
		t.Fatal("want an error")
	}
}

// TestFollowed: all may read the rows of the first user, by a claim, and nobody else's.
func TestFollowed(t *testing.T) {
	handler, closeAll, err := open(t.Context(), child.Config{Database: "sqlite:" + t.TempDir() + "/test.db", Users: 3, Followed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(user int, method, path, body string) int {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+users.Make(3)[user].Token)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for owner := range 2 { // rows 1 and 2
		if got := ask(owner, "POST", "/todo", `{"task":"x"}`); got != 201 {
			t.Fatalf("want 201, got %d", got)
		}
	}
	for _, each := range []struct {
		user   int
		method string
		path   string
		want   int
	}{{2, "GET", "/todo/1", 200}, {2, "PATCH", "/todo/1", 403}, {2, "GET", "/todo/2", 404}} {
		if got := ask(each.user, each.method, each.path, `{"task":"y"}`); got != each.want {
			t.Errorf("%s %s: want %d, got %d", each.method, each.path, each.want, got)
		}
	}
	if err := closeAll(); err != nil {
		t.Error(err)
	}
}
