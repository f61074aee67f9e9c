package outbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/accounts/outbox"
)

func files(t *testing.T, folder, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFolder(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new", "mails")
	var mailer accounts.Mailer = outbox.Folder(folder)
	for _, msg := range []accounts.Message{
		{To: "alice@example.com", Subject: "First", Text: "https://app.example.com?token=a&b=1\n"},
		{To: "bob@example.com", Subject: "Zweite äöü", Text: "text\n", HTML: "<p>text</p>"},
	} {
		if err := mailer.Send(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	texts := files(t, folder, "*.txt")
	if len(texts) != 2 || len(files(t, folder, "*")) != 3 {
		t.Fatalf("%v: want two texts and one page", files(t, folder, "*"))
	}
	for i, want := range []string{
		"To: alice@example.com\nSubject: First\n\nhttps://app.example.com?token=a&b=1\n",
		"To: bob@example.com\nSubject: Zweite äöü\n\ntext\n",
	} {
		got, err := os.ReadFile(texts[i])
		if err != nil || string(got) != want {
			t.Errorf("%q, %v: want %q", got, err, want)
		}
		info, err := os.Stat(texts[i])
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may read the mail: %v, %v", info.Mode(), err)
		}
	}
	page, err := os.ReadFile(files(t, folder, "*.html")[0])
	if err != nil || string(page) != "<p>text</p>" {
		t.Errorf("%q, %v", page, err)
	}
}

func TestFolderRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, msg := range []accounts.Message{{To: "a@b.c\nBcc: d@e.f"}, {To: "a@b.c", Subject: "x\r\nBcc: d@e.f"}} {
		if err := outbox.Folder(folder).Send(t.Context(), msg); err == nil {
			t.Errorf("%q was taken", msg)
		}
	}
	if left := files(t, folder, "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := outbox.Folder(file).Send(t.Context(), accounts.Message{To: "a@b.c"}); err == nil {
		t.Error("a file was taken for a folder")
	}
}
