//go:build !unix

package postgres

import "database/sql/driver"

// alive implements engine.Backend's Alive: there is no way to tell.
func alive(driver.Conn) bool { return false }
