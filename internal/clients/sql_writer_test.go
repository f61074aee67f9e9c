package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// sqlWriter writes bob's rows by the database's own client program, one process that lives through all restarts.
type sqlWriter struct {
	begin   string
	process *process

	mu    sync.Mutex // marks come between
	input io.WriteCloser
	// What is committed once the process has ended well.
	inserts, updates, deletes int
}

func startSQLWriter(t *testing.T, target dbtest.Target) *sqlWriter {
	t.Helper()
	command := clientProgram(t, target)
	log := logFile(t, "client-program.log")
	command.Stdout, command.Stderr = log, log
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	w := &sqlWriter{begin: "BEGIN", input: input}
	w.process = launch(t, command)
	first := ""
	switch target.Engine {
	case dbtest.SQLite:
		w.begin = "BEGIN IMMEDIATE"
		first = ".bail on\n.timeout 20000\n"
	case dbtest.MariaDB, dbtest.MySQL:
		// So that looking for bob's rows locks no gap that alice's go to.
		first = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;\n"
	}
	if _, err := io.WriteString(input, first); err != nil {
		t.Fatal(err)
	}
	return w
}

// clientProgram runs the statements of its standard input, and fails at the first that does.
func clientProgram(t *testing.T, target dbtest.Target) *exec.Cmd {
	t.Helper()
	switch target.Engine {
	case dbtest.SQLite:
		return exec.Command(find(t, "sqlite3"), "-batch", strings.TrimPrefix(target.URL, "sqlite:"))
	case dbtest.Postgres:
		return exec.Command(find(t, "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", target.URL)
	}
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	command := exec.Command(find(t, "mariadb", "mysql"), "--no-defaults", "--protocol=tcp", "--host="+u.Hostname(),
		"--port="+u.Port(), "--user="+u.User.Username(), "--batch", strings.TrimPrefix(u.Path, "/"))
	command.Env = append(os.Environ(), "MYSQL_PWD="+password)
	return command
}

func insertTask(task string) string {
	return fmt.Sprintf("INSERT INTO todos (user_id, task, is_complete, inserted_at) VALUES ('bob', '%s', FALSE, '2026-01-02 03:04:05');\n", task)
}

func updateTask(before, set string) string {
	return fmt.Sprintf("UPDATE todos SET %s WHERE user_id = 'bob' AND task = '%s';\n", set, before)
}

// run writes the life of a row at each tick, in two transactions and some statements, until the context ends. Each
// third is deleted again; what is rolled back must be seen by nobody.
func (w *sqlWriter) run(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		row := fmt.Sprintf("raw %d", n)
		text := w.begin + ";\n" + insertTask(row+" v0") + updateTask(row+" v0", "task = '"+row+" v1'") + "COMMIT;\n" +
			w.begin + ";\n" + insertTask("rolled back") + updateTask(row+" v1", "task = 'rolled back'") + "ROLLBACK;\n" +
			updateTask(row+" v1", "task = '"+row+" v2'") + updateTask(row+" v2", "is_complete = TRUE, task = '"+row+" v3'")
		deletes := 0
		if n%3 == 0 {
			text += fmt.Sprintf("DELETE FROM todos WHERE user_id = 'bob' AND task = '%s v3';\n", row)
			deletes = 1
		}
		if err := w.send(text, 1, 3, deletes); err != nil {
			return err
		}
	}
}

// mark makes a row that clients are waited for to see.
func (w *sqlWriter) mark(name string) error { return w.send(insertTask("mark "+name), 1, 0, 0) }

func (w *sqlWriter) send(text string, inserts, updates, deletes int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inserts += inserts
	w.updates += updates
	w.deletes += deletes
	_, err := io.WriteString(w.input, text)
	return err
}

// end returns when all is committed.
func (w *sqlWriter) end() error {
	return errors.Join(w.input.Close(), w.process.wait())
}
