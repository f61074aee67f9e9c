// Package exampletest runs the programs of examples/ within their own tests.
package exampletest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
)

// Start runs a program until the test ends, and returns the URL that its log gives with the message "serving".
func Start(t *testing.T, run func(ctx context.Context, logger *slog.Logger) error) (url string) {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, slog.New(slog.NewJSONHandler(writer, nil)))
		_ = writer.Close() // a pipe's never fails
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	served := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			var line struct{ Msg, URL string }
			if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Msg == "serving" {
				served <- line.URL
			}
		}
		close(served)
	}()
	url, ok := <-served
	if !ok {
		t.Fatal("the program ended before it served")
	}
	return url
}
