package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/todo/todotest"
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
