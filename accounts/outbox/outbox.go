// Package outbox keeps the mails of package accounts in a folder, for development and tests.
//
//	users := accounts.New[accounts.User](cape, accounts.Config{Mailer: outbox.Folder("mails")})
package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capebase/capebase/accounts"
)

// Folder is an accounts.Mailer that writes each mail to a file of its own: recipient, subject and text as they are, so
// that links can be copied; HTML goes beside it. Names sort by time. The folder is made where it is missing; only its
// owner can read the files, whose tokens let anyone in who has them.
type Folder string

// Send implements accounts.Mailer.
func (f Folder) Send(_ context.Context, msg accounts.Message) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("outbox: %w", err)
		}
	}()
	if strings.ContainsAny(msg.To+msg.Subject, "\r\n") {
		return errors.New("the recipient or the subject has several lines")
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	// Whoever watches the folder for .txt sees whole mails only.
	file, err := os.CreateTemp(string(f), time.Now().UTC().Format("20060102T150405.000000000")+"-*.tmp")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "To: %s\nSubject: %s\n\n%s", msg.To, msg.Subject, msg.Text)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	name := strings.TrimSuffix(file.Name(), filepath.Ext(file.Name()))
	if msg.HTML != "" {
		if err := os.WriteFile(name+".html", []byte(msg.HTML), 0o600); err != nil {
			return errors.Join(err, os.Remove(file.Name()))
		}
	}
	return os.Rename(file.Name(), name+".txt")
}
