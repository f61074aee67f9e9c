package capebase

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The time-outs of ListenAndServe's server.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	idleTimeout       = 2 * time.Minute
)

// ListenAndServe starts if needed and serves until ctx is done, then shuts down gracefully and closes. The
// error is nil after an orderly end.
func (c *Cape) ListenAndServe(ctx context.Context, addr string) (err error) {
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Start(ctx); err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("capebase: %w", err)
	}
	server := &http.Server{
		Handler:           c,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(c.config.Logger.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(c.EndStreams)
	c.config.Logger.Info("serving", "url", "http://"+listener.Addr().String()+c.config.BasePath)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("capebase: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.Limits.Shutdown)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return errors.Join(fmt.Errorf("capebase: shutdown: %w", err), server.Close())
	}
	return nil
}
