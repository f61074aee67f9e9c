package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/capebase/capebase/internal/dbtest"
)

// program runs scripts by the engine's own client program, a process for each.
type program struct {
	target dbtest.Target

	mu      sync.Mutex
	running map[*exec.Cmd]bool
}

// kill ends all processes that are running now with SIGKILL.
func (p *program) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for command := range p.running {
		if err := command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// runs tells whether a process is running.
func (p *program) runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running) > 0
}

// wait runs a command to its end.
func (p *program) wait(command *exec.Cmd) error {
	p.mu.Lock()
	err := command.Start()
	if err == nil {
		p.running[command] = true
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	err = command.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, command)
	return err
}

const doneMark = "committed"

func (p *program) execute(ctx context.Context, s *script) outcome {
	command, count, mark := p.command(ctx)
	var text strings.Builder
	begin := "BEGIN;"
	if p.target.Engine == dbtest.SQLite {
		begin = ".bail on\n.timeout 20000\nBEGIN IMMEDIATE;"
	}
	text.WriteString(begin + "\n")
	var kept []step // in the order of the counts that are printed
	for i, g := range s.groups {
		if g.savepoint {
			fmt.Fprintf(&text, "SAVEPOINT point%d;\n", i)
		}
		for j := range g.steps {
			if copied := g.steps[j].copied; copied != "" {
				text.WriteString(copied + "\n")
			} else {
				text.WriteString(g.steps[j].inline() + ";\n")
			}
			if !g.undone {
				text.WriteString(count + "\n")
				kept = append(kept, g.steps[j])
			}
		}
		switch {
		case g.undone:
			fmt.Fprintf(&text, "ROLLBACK TO SAVEPOINT point%d;\n", i)
		case g.savepoint:
			fmt.Fprintf(&text, "RELEASE SAVEPOINT point%d;\n", i)
		}
	}
	if s.commit {
		text.WriteString("COMMIT;\n" + mark + "\n")
	} else {
		text.WriteString("ROLLBACK;\n")
	}
	command.Stdin = strings.NewReader(text.String())
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	err := p.wait(command)
	lines := strings.Fields(output.String())
	switch {
	case !s.commit:
		return outcome{state: rolledBack}
	case err != nil || len(lines) != len(kept)+1 || lines[len(kept)] != doneMark:
		return outcome{cutOff, -1}
	}
	wrote := int64(0)
	for i := range kept {
		affected, err := strconv.ParseInt(lines[i], 10, 64)
		if err != nil {
			return outcome{cutOff, -1}
		}
		wrote += kept[i].counts(affected)
	}
	return outcome{committed, wrote}
}

// command is the client program, a command that prints how many rows the last statement wrote, and one that prints the
// mark.
func (p *program) command(ctx context.Context) (command *exec.Cmd, count, mark string) {
	selected := "SELECT '" + doneMark + "';"
	switch p.target.Engine {
	case dbtest.SQLite:
		return exec.CommandContext(ctx, "sqlite3", "-batch", sqlitePath(p.target)), "SELECT changes();", selected
	case dbtest.Postgres:
		command = exec.CommandContext(ctx, "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", p.target.URL)
		command.Env = append(os.Environ(), "PGOPTIONS=-c deadlock_timeout="+deadlockTimeout)
		return command, `\echo :ROW_COUNT`, selected
	}
	command = exec.CommandContext(ctx, "mariadb", append(mariadbArguments(p.target), "--batch", "--skip-column-names")...)
	command.Env = append(os.Environ(), "MYSQL_PWD="+mariadbPassword(p.target))
	return command, "SELECT ROW_COUNT();", selected
}

// mariadbArguments tell MariaDB's programs where a target is. The password is in the environment.
func mariadbArguments(target dbtest.Target) []string {
	u := mariadbURL(target)
	return []string{
		"--no-defaults", "--protocol=tcp", "--host=" + u.Hostname(), "--port=" + u.Port(), "--user=" + u.User.Username(),
		strings.TrimPrefix(u.Path, "/"),
	}
}

func mariadbPassword(target dbtest.Target) string {
	password, _ := mariadbURL(target).User.Password()
	return password
}

func mariadbURL(target dbtest.Target) *url.URL {
	u, err := url.Parse(target.URL)
	if err != nil {
		panic(err) // it was used before
	}
	return u
}
