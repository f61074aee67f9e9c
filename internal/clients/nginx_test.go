package clients

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// documentation is docs/live.md.
func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "live.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns what the documentation shows in a language.
func blocks(t *testing.T, language string) string {
	t.Helper()
	fenced := regexp.MustCompile("(?s)```" + language + "\n(.*?)```\n")
	var found []string
	for _, match := range fenced.FindAllStringSubmatch(documentation(t), -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/live.md has no %s", language)
	}
	return strings.Join(found, "\n")
}

// writeClients makes a directory with the documentation's functions as a module, and a page that loads it.
func writeClients(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	for name, begin := range map[string]string{"page.html": "", "start.mjs": blocks(t, "js")} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "start.mjs" {
			name = "clients.mjs"
		}
		if err := os.WriteFile(filepath.Join(directory, name), []byte(begin+string(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// proxy is an nginx before the program, with two servers; both have the clients' files in /clients/.
type proxy struct {
	documented string // as docs/live.md says
	plain      string // proxy_pass and nothing else

	mu      sync.Mutex
	refused map[visitor]bool // who asked while there was no program
	news    chan struct{}    // closed at the next one
}

// visitor is a kind of client, as nginx's log shows it.
type visitor struct {
	address   string // of the server
	webSocket bool
	browser   bool
}

func startProxy(t *testing.T, program, files string) *proxy {
	t.Helper()
	p := &proxy{
		documented: dbtest.FreeAddress(t), plain: dbtest.FreeAddress(t), refused: map[visitor]bool{}, news: make(chan struct{}),
	}
	location := fmt.Sprintf("location /clients/ { alias %s/; }", files)
	documented := replaceOnce(t, blocks(t, "nginx"), "listen 80;", fmt.Sprintf("listen %s;\n%s", p.documented, location))
	documented = strings.ReplaceAll(documented, "127.0.0.1:8080", program)
	plain := fmt.Sprintf("server { listen %s;\n%s\nlocation / { proxy_pass http://%s; } }", p.plain, location, program)
	directory := t.TempDir()
	configuration := fmt.Sprintf(`
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
types { text/html html; text/javascript mjs; }
log_format visits '$server_addr:$server_port $http_upgrade $upstream_status $uri $http_user_agent';
access_log /dev/stdout visits;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
%s
%s
}`, documented, plain)
	path := filepath.Join(directory, "nginx.conf")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(find(t, "nginx", "/usr/sbin/nginx"), "-p", directory, "-c", path, "-e", "stderr")
	command.Stderr = logFile(t, "nginx.log")
	output, theirs := pipe(t)
	command.Stdout = theirs
	process := launch(t, command)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	go p.watch(output)
	for _, address := range []string{p.documented, p.plain} {
		err := process.eventually(t.Context(), func(ctx context.Context) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// watch reads nginx's log until it ends.
func (p *proxy) watch(log io.Reader) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), " ", 5)
		if len(fields) < 5 || fields[2] != "502" || !strings.HasSuffix(fields[3], "/subscribe") {
			continue
		}
		p.mu.Lock()
		p.refused[visitor{fields[0], fields[1] == "websocket", strings.Contains(fields[4], "Chrome")}] = true
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// awaitRefusals returns when each client that goes through nginx found no program behind it.
func (p *proxy) awaitRefusals(t *testing.T) {
	t.Helper()
	all := []visitor{
		{address: p.documented, browser: true}, {p.documented, true, true}, {address: p.documented, webSocket: true},
		{address: p.plain, browser: true}, {address: p.plain},
	}
	limit := time.After(patience)
	for {
		p.mu.Lock()
		lacking := slices.DeleteFunc(slices.Clone(all), func(v visitor) bool { return p.refused[v] })
		news := p.news
		p.mu.Unlock()
		if len(lacking) == 0 {
			return
		}
		select {
		case <-news:
		case <-limit:
			t.Fatalf("these did not ask while the program was down: %v", lacking)
		}
	}
}

func replaceOnce(t *testing.T, text, old, by string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q is there %d times, want once, in:\n%s", old, n, text)
	}
	return strings.Replace(text, old, by, 1)
}

// find returns the path of the first program that there is.
func find(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("there is none of %q: scripts/install installs them", names)
	return ""
}
