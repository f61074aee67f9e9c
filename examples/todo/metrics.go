package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/capebase/capebase"
)

// metrics serves Prometheus on an address of its own, which the world does not reach.
func metrics(cape *capebase.Cape, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", cape.Metrics())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	cape.Run(func(ctx context.Context) {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for a last scrape
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("metrics", "error", err)
		}
	})
	return nil
}
