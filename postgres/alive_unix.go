//go:build unix

package postgres

import (
	"crypto/tls"
	"database/sql/driver"
	"syscall"

	"github.com/jackc/pgx/v5/stdlib"
)

// alive implements engine.Backend's Alive: on an idle connection nothing can be read, neither an end nor a last word.
func alive(c driver.Conn) bool {
	conn, ok := c.(*stdlib.Conn)
	if !ok {
		return false
	}
	inner := conn.Conn().PgConn().Conn()
	if encrypted, ok := inner.(*tls.Conn); ok {
		inner = encrypted.NetConn()
	}
	socket, ok := inner.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
	})
	return err == nil && silent
}
