package mysql

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	type address struct{ Net, Addr, User, Password, Name, ServerName string }
	for text, want := range map[string]address{
		"mysql://a:b@host/db":                            {"tcp", "host:3306", "a", "b", "db", ""},
		"mysql://a:b@host:3307/db":                       {"tcp", "host:3307", "a", "b", "db", ""},
		"mysql://host/db":                                {"tcp", "host:3306", "", "", "db", ""},
		"mysql://a@/db":                                  {"tcp", "127.0.0.1:3306", "a", "", "db", ""},
		"mysql://a:b@[::1]:3307/db":                      {"tcp", "[::1]:3307", "a", "b", "db", ""},
		"mysql://a:b@[fe80::1]/db":                       {"tcp", "[fe80::1]:3306", "a", "b", "db", ""},
		"mysql://a%40x:p%40%3A%2F%25@host/d%2Fb%20c":     {"tcp", "host:3306", "a@x", "p@:/%", "d/b c", ""},
		"mysql://a:b@/db?socket=/run/mysqld/mysqld.sock": {"unix", "/run/mysqld/mysqld.sock", "a", "b", "db", ""},
		"mysql://a:b@db.example.com/db?tls=true":         {"tcp", "db.example.com:3306", "a", "b", "db", "db.example.com"},
	} {
		var s source
		if err := s.parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		config := s.config
		got := address{config.Net, config.Addr, config.User, config.Passwd, config.DBName, ""}
		if config.TLS != nil {
			got.ServerName = config.TLS.ServerName
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if !config.ParseTime || !config.ClientFoundRows || config.MultiStatements || config.InterpolateParams {
			t.Errorf("%s: %+v", text, config)
		}
	}
}

func TestURLOptions(t *testing.T) {
	t.Parallel()
	var s source
	err := s.parse("mysql://a@h/d?pool_max_conns=7&timeout=5s&innodb_lock_wait_timeout=3&sql_mode=%27ANSI%27&time_zone=%27%2B09:00%27")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"innodb_lock_wait_timeout": "3", "time_zone": "'+00:00'", "sql_mode": "CONCAT('ANSI', ',STRICT_TRANS_TABLES')",
		"character_set_client": "'utf8mb4'", "character_set_connection": "'utf8mb4'", "character_set_results": "'utf8mb4'",
	}
	if diff := cmp.Diff(want, s.config.Params); diff != "" || s.connections != 7 || s.config.Timeout.Seconds() != 5 {
		t.Errorf("%d connections, time-out %v, %s", s.connections, s.config.Timeout, diff)
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	const mariadb, mysql = "utf8mb4_nopad_bin", "utf8mb4_0900_bin"
	for version, want := range map[string]string{
		"10.11.19-MariaDB-0+deb12u1": mariadb, "11.4.2-MariaDB-ubu2404-log": mariadb, "10.6.0-MariaDB": mariadb, "5.5.5-10.6.18-MariaDB": mariadb,
		"10.5.29-MariaDB": "too old", "5.5.5-10.3.9-MariaDB": "too old",
		"8.0.17": mysql, "8.0.41-0ubuntu0.22.04.1": mysql, "8.4.3": mysql, "9.1.0-commercial": mysql, "8.0.36-28": mysql,
		"8.0.16": "too old", "5.7.44-log": "too old", "": "not understood", "TiDB": "not understood",
	} {
		d, err := newDialect(version)
		if err == nil && d.collation != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %q", version, d.collation, err, want)
		}
		if compound := want == mariadb && version != "10.6.0-MariaDB"; d.compound != compound {
			t.Errorf("%q: compound %v, want %v", version, d.compound, compound)
		}
	}
}
