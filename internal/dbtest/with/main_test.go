package main

import (
	"testing"
)

func TestExitCodeIsTheCommands(t *testing.T) {
	for _, test := range []struct {
		script string
		want   int
	}{
		{`exit 0`, 0},
		{`test -n "$CAPE_TEST_DATABASES" && exit 7`, 7},
		{`kill -TERM $$`, 128 + 15},
	} {
		code, err := run([]string{"sh", "-c", test.script})
		if err != nil || code != test.want {
			t.Errorf("%s: exit code %d, %v; want %d", test.script, code, err, test.want)
		}
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	for _, arguments := range [][]string{nil, {"/no/such/program"}} {
		if code, err := run(arguments); err == nil {
			t.Errorf("run %q: exit code %d and no error", arguments, code)
		}
	}
}
