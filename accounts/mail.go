package accounts

import (
	"context"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// Occasion is why a mail is sent.
type Occasion string

// The occasions.
const (
	Verify     Occasion = "verify"     // somebody registered with the address: Token confirms it
	Registered Occasion = "registered" // somebody registered with an address that has an account; no token
	Forgot     Occasion = "forgot"     // Token allows a new password
	NewEmail   Occasion = "new_email"  // Token makes the address that of the account
	Changed    Occasion = "changed"    // the password was changed, or the address: to the old one; no token
)

// Mail is what a mail has to say.
type Mail struct {
	Occasion Occasion
	To       string
	Token    string        // for the routes verify, reset and email/confirm; "" where there is none
	Link     string        // Config.URL with occasion and token as its query; "" where either is missing
	Lifetime time.Duration // of the token
}

// Compose makes a message.
type Compose func(Mail) (Message, error)

// compose is the standard Compose.
func compose(m Mail) (Message, error) {
	subjects := map[Occasion]string{
		Verify: "Confirm your e-mail address", Registered: "You have an account already", Forgot: "Choose a new password",
		NewEmail: "Confirm your new e-mail address", Changed: "Your account was changed",
	}
	lines := map[Occasion]string{
		Verify:     "Somebody, most likely you, signed up with this address.",
		Registered: "Somebody, most likely you, signed up with this address, which has an account already. Sign in, or ask for a new password if you have forgotten yours.",
		Forgot:     "Somebody, most likely you, asked for a new password.",
		NewEmail:   "Somebody, most likely you, wants to sign in with this address from now on.",
		Changed:    "The password or the e-mail address of your account was changed. If that was not you, ask for a new password at once.",
	}
	text := []string{lines[m.Occasion]}
	switch {
	case m.Link != "":
		text = append(text, "To go on, open this link within "+lifetime(m.Lifetime)+":", m.Link)
	case m.Token != "":
		text = append(text, "To go on, use this code within "+lifetime(m.Lifetime)+":", m.Token)
	}
	if m.Occasion != Changed {
		text = append(text, "If it was not you, there is nothing to do.")
	}
	return Message{To: m.To, Subject: subjects[m.Occasion], Text: strings.Join(text, "\n\n") + "\n"}, nil
}

func lifetime(d time.Duration) string {
	if d >= 2*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()))
}

// maxMails bounds the mails that wait to be sent, mailWait the time that one may take, and lastMails the time that is left
// for those that still wait when the program ends.
const (
	maxMails  = 1000
	mailWait  = time.Minute
	lastMails = 5 * time.Second
)

// mail hands a mail to the sender. The request that caused it does not wait: how long it takes would tell whether the
// address is known.
func (a *Accounts[U]) mail(ctx context.Context, m Mail) {
	if m.Token != "" && a.config.URL != "" {
		query := url.Values{"occasion": {string(m.Occasion)}, "token": {m.Token}}
		m.Link = a.config.URL + "?" + query.Encode()
	}
	select {
	case a.mails <- m:
	default:
		a.config.Logger.ErrorContext(ctx, "a mail was dropped: too many are waiting", "occasion", m.Occasion)
	}
}

// sendMails runs until ctx ends.
func (a *Accounts[U]) sendMails(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case m := <-a.mails:
			a.send(ctx, m)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastMails)
	defer cancel()
	for last.Err() == nil {
		select {
		case m := <-a.mails:
			a.send(last, m)
		default:
			return
		}
	}
}

func (a *Accounts[U]) send(ctx context.Context, m Mail) {
	ctx, cancel := context.WithTimeout(ctx, mailWait)
	defer cancel()
	defer func() {
		if v := recover(); v != nil { // of the user's code, in a goroutine that is ours
			a.config.Logger.ErrorContext(ctx, "sending a mail panicked", "occasion", m.Occasion, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	message, err := a.config.Compose(m)
	if err == nil {
		err = a.config.Mailer.Send(ctx, message)
	}
	if err != nil {
		a.config.Logger.ErrorContext(ctx, "a mail could not be sent", "occasion", m.Occasion, "error", err)
	}
}
