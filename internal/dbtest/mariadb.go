package dbtest

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// mariadbProduct is MariaDB.
type mariadbProduct struct {
	server  program
	install string
}

func findMariaDB(ctx context.Context) (product, error) {
	oldest := version{10, 6}
	says := regexp.MustCompile(`Ver (\d+)\.(\d+)\S*MariaDB`)
	directories := []string{
		"/usr/sbin", // Debian
		"/usr/libexec",
		"/usr/bin",
		"/usr/local/mysql/bin",
		"/opt/homebrew/opt/mariadb*/bin",
		"/usr/local/opt/mariadb*/bin",
	}
	server, err := newest(ctx, []string{"mariadbd", "mysqld"}, directories, says)
	if err != nil {
		return nil, fmt.Errorf("dbtest: MariaDB: no server program (scripts/install installs one): %w", err)
	}
	if slices.Compare(server.version[:], oldest[:]) < 0 {
		return nil, fmt.Errorf("dbtest: %s is MariaDB %s: want %s or newer", server.path, server.version, oldest)
	}
	install, err := beside(server.path, "mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, fmt.Errorf("dbtest: MariaDB: %w", err)
	}
	return &mariadbProduct{server, install}, nil
}

func (p *mariadbProduct) initialise(ctx context.Context, s *Server) error {
	// The server runs this at each start, before it listens. The root account it makes by itself has no password that
	// could be given, and only its own socket.
	statements := fmt.Sprintf("CREATE USER IF NOT EXISTS '%[1]s'@'127.0.0.1' IDENTIFIED BY '%[2]s';\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'127.0.0.1' WITH GRANT OPTION;\n", adminName, s.password)
	if _, err := s.write(mariadbStart, statements); err != nil {
		return err
	}
	// A server that starts removes what looks like temporary tables from its tmpdir, those of others in /tmp as well.
	return s.run(ctx, p.install, "--no-defaults", "--datadir="+s.data(), "--tmpdir="+s.dir, "--skip-test-db", "--skip-name-resolve",
		"--auth-root-authentication-method=socket", "--innodb-log-file-size=64M", "--innodb-use-native-aio=OFF",
		"--innodb-flush-log-at-trx-commit=0")
}

const mariadbStart = "start.sql"

func (p *mariadbProduct) command(s *Server) *exec.Cmd {
	// 2 hands each commit to the system, which a crash of the server does not touch; 1 also waits for the disk.
	flush := map[bool]string{false: "2", true: "1"}
	settings := map[string]string{
		"datadir":                         s.data(),
		"tmpdir":                          s.dir,
		"socket":                          filepath.Join(s.dir, "socket"),
		"pid-file":                        filepath.Join(s.dir, "pid"),
		"init-file":                       filepath.Join(s.dir, mariadbStart),
		"bind-address":                    "127.0.0.1",
		"port":                            strconv.Itoa(s.port),
		"skip-name-resolve":               "ON",
		"max-connections":                 "300",
		"character-set-server":            "utf8mb4",
		"default-time-zone":               "+05:30",
		"performance-schema":              "OFF",
		"log-bin-trust-function-creators": "ON",
		"innodb-flush-log-at-trx-commit":  flush[s.config.Durable],
		"innodb-buffer-pool-size":         "128M",
		"innodb-log-file-size":            "64M",
		"innodb-use-native-aio":           "OFF", // many servers at once would use up what the system has
	}
	maps.Copy(settings, s.config.Settings)
	arguments := []string{"--no-defaults"}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		arguments = append(arguments, "--"+name+"="+settings[name])
	}
	return exec.Command(p.server.path, arguments...)
}

func (*mariadbProduct) adminURL(s *Server) string {
	u := url.URL{
		Scheme: "mysql", User: url.UserPassword(adminName, s.password),
		Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: "/",
	}
	return u.String()
}

func (*mariadbProduct) accounts() []string { return []string{"mysql", "nobody"} }

func (*mariadbProduct) stopSignal() syscall.Signal { return syscall.SIGTERM }

func (*mariadbProduct) abandonSignal() syscall.Signal { return syscall.SIGKILL }
