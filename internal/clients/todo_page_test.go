package clients

import (
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

var screenshot = flag.Bool("screenshot", false, "write docs/todo.png")

// until waits until an expression is true in the page.
func (p *page) until(t *testing.T, expression string) {
	t.Helper()
	p.run(t, fmt.Sprintf(`while (!(%s)) await new Promise((go) => setTimeout(go, 20));`, expression), nil)
}

// holds fails unless an expression is true in the page now.
func (p *page) holds(t *testing.T, expression string) {
	t.Helper()
	var is bool
	if p.run(t, "return !!("+expression+")", &is); !is {
		t.Errorf("not so: %s", expression)
	}
}

// sign fills in the form and uses one of its buttons.
func (p *page) sign(t *testing.T, button, email, password string) {
	t.Helper()
	p.until(t, `!$("sign-in").hidden`)
	p.run(t, fmt.Sprintf(`const form = $("credentials"); form.email.value = %q; form.password.value = %q;
		form.requestSubmit(form.querySelector("[value=%s]"));`, email, password, button), nil)
}

func (p *page) add(t *testing.T, task string) {
	t.Helper()
	p.run(t, fmt.Sprintf(`$("add").task.value = %q; $("add").requestSubmit();`, task), nil)
	p.until(t, item(task))
}

// item is an expression: the element of a todo.
func item(task string) string {
	return fmt.Sprintf(`[...$("todos").children].find((todo) => todo.querySelector(".task").textContent === %q)`, task)
}

// TestTodoPage uses the page of examples/todo in two browsers, as its visitors do.
func TestTodoPage(t *testing.T) {
	t.Parallel()
	p := startProgram(t, build(t), dbtest.New(t, dbtest.SQLite))
	browser := startChromium(t)
	open := func() *page { return browser.open(t, "http://"+p.address+"/", func(string) {}) }
	one, two := open(), open()
	browser.call(t.Context(), t, two.session, "Emulation.setUserAgentOverride", map[string]any{
		"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
	}, nil)
	const email, password = "ada@example.com", "analytical engine"

	one.sign(t, "register", email, "password1234")
	one.until(t, `$("message").classList.contains("bad") && $("message").textContent.includes("tried first")`)
	one.sign(t, "register", email, password)
	one.until(t, `!$("account").hidden && live && $("who").textContent === "`+email+`"`)
	two.sign(t, "login", email, "a wrong password")
	two.until(t, `$("message").classList.contains("bad") && $("message").textContent.includes("wrong e-mail")`)
	two.sign(t, "login", email, password)
	two.until(t, `!$("account").hidden && live && $("message").hidden`)
	one.holds(t, `document.cookie === ""`) // scripts do not see it

	// Each sees at once what the other does.
	for _, task := range []string{"Publish the notes", "Water the plants", "Buy oat milk"} {
		one.add(t, task)
		two.until(t, item(task))
	}
	two.run(t, item("Water the plants")+`.querySelector("input").click()`, nil)
	one.until(t, item("Water the plants")+`?.classList.contains("done")`)
	one.run(t, item("Buy oat milk")+`.querySelector(".remove").click()`, nil)
	two.until(t, "!"+item("Buy oat milk"))

	// The pages go on when the program was killed, without a reload.
	for _, page := range []*page{one, two} {
		page.run(t, `window.before = true`, nil)
	}
	p.kill()
	if _, err := request(t.Context(), http.MethodGet, "http://"+p.address+"/readyz", nil, nil); err == nil {
		t.Error("the program is not killed")
	}
	for _, page := range []*page{one, two} {
		page.until(t, `!live`)
	}
	p.start()
	for _, page := range []*page{one, two} {
		page.until(t, `live`)
		page.holds(t, `window.before && `+item("Water the plants"))
	}
	two.add(t, "Write to Charles")
	one.until(t, item("Write to Charles"))
	// Somebody else's todo is there, and not to be changed.
	if _, err := request(t.Context(), http.MethodPost, "http://"+p.address+"/todo", map[string]any{"task": "Bring a cake"}, nil); err != nil {
		t.Fatal(err)
	}
	one.until(t, item("Bring a cake")+`?.querySelector("input").disabled`)
	one.until(t, `$("sessions").children.length === 2`)
	capture(t, one)

	// One revokes the other's session: its stream ends, and one's own stays.
	for _, page := range []*page{one, two} {
		page.run(t, `window.kept = stream.source`, nil)
	}
	one.run(t, `[...$("sessions").children].find((s) => s.querySelector("button")).querySelector("button").click()`, nil)
	two.until(t, `kept.readyState === EventSource.CLOSED && kept !== stream.source && state.me === null`)
	two.until(t, `!$("sign-in").hidden && $("message").textContent.includes("signed out") && live`)
	one.until(t, `$("sessions").children.length === 1`)
	one.holds(t, `kept === stream.source && kept.readyState === EventSource.OPEN`)
	one.add(t, "Still <b>here</b>")
	two.until(t, item("Still <b>here</b>")) // as anyone
	two.holds(t, item("Still <b>here</b>")+`.querySelector("input").disabled`)

	// A page that is opened with the cookie of a session that has ended shows itself, signed out.
	one.run(t, `$("sign-out").click()`, nil)
	one.until(t, `!$("sign-in").hidden`)
	one.sign(t, "login", email, password)
	one.until(t, `!$("account").hidden`)
	two.sign(t, "login", email, password)
	two.until(t, `!$("account").hidden && $("sessions").children.length === 2`)
	two.navigate(t, "about:blank")
	one.run(t, `await call("POST", "auth/sessions/revoke-others")`, nil)
	two.navigate(t, "http://"+p.address+"/")
	two.until(t, `!$("sign-in").hidden && live`)
}

// capture takes a picture of a page at 1200 pixels.
func capture(t *testing.T, p *page) {
	t.Helper()
	p.browser.call(t.Context(), t, p.session, "Emulation.setDeviceMetricsOverride",
		map[string]any{"width": 1200, "height": 540, "deviceScaleFactor": 1.5, "mobile": false}, nil)
	p.run(t, `await new Promise((go) => setTimeout(go, 500))`, nil) // what is new has moved in
	var shot struct{ Data string }
	p.browser.call(t.Context(), t, p.session, "Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	image, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil || len(image) < 10_000 {
		t.Fatalf("a picture of %d bytes, %v", len(image), err)
	}
	if *screenshot {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "todo.png"), image, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
