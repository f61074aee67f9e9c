package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	databasesVariable = "CAPE_TEST_DATABASES"
	enginesVariable   = "CAPE_TEST_ENGINES"

	identifyTimeout = 10 * time.Second
	startTimeout    = 2 * time.Minute
)

// host is where databases of one engine are made.
type host struct {
	engine string
	admin  func() (adminURL, error) // starts a private server if need be; nil for SQLite
}

// listed is a running server that the environment names.
type listed struct {
	engine string
	admin  adminURL
}

// environment is what the variables say.
type environment struct {
	engines []string // that tests need
	servers []listed
}

// readEnvironment reads the variables and asks each listed server what it is.
func readEnvironment(ctx context.Context, variable func(string) string) (environment, error) {
	env := environment{engines: []string{SQLite, Postgres, MariaDB}}
	for _, text := range split(variable(databasesVariable)) {
		admin, err := parseAdminURL(text)
		if err != nil {
			return environment{}, fmt.Errorf("dbtest: %s: %w", databasesVariable, err)
		}
		engine, err := identifyWithin(ctx, identifyTimeout, admin)
		if err != nil {
			return environment{}, fmt.Errorf("dbtest: %s lists %s: %w", databasesVariable, admin.url.Redacted(), err)
		}
		env.servers = append(env.servers, listed{engine, admin})
		if !slices.Contains(env.engines, engine) {
			env.engines = append(env.engines, engine)
		}
	}
	narrowed := split(variable(enginesVariable))
	if len(narrowed) == 0 || variable("CI") == "true" {
		return env, nil
	}
	for _, engine := range narrowed {
		if !slices.Contains(env.engines, engine) {
			return environment{}, fmt.Errorf("dbtest: %s names %q: want some of %s (%s needs a server in %s)",
				enginesVariable, engine, strings.Join([]string{SQLite, Postgres, MariaDB, MySQL}, ","), MySQL, databasesVariable)
		}
	}
	env.engines = slices.DeleteFunc(env.engines, func(engine string) bool { return !slices.Contains(narrowed, engine) })
	return env, nil
}

func identifyWithin(ctx context.Context, limit time.Duration, admin adminURL) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return identify(ctx, admin)
}

// split splits a list at its commas and leaves empty items out.
func split(list string) []string {
	items := strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return slices.DeleteFunc(items, func(item string) bool { return item == "" })
}

// shared holds the servers that all tests of this process use. Each package's tests are a process of their own, and
// nothing but a package variable lives as long as that.
//
//nolint:gochecknoglobals // see above
var shared = newBed(os.Getenv)

// bed finds or starts the servers of a process.
type bed struct {
	environment func() (environment, error)
	private     map[string]*privateServer // never changes
}

func newBed(variable func(string) string) *bed {
	return &bed{
		environment: sync.OnceValues(func() (environment, error) {
			return readEnvironment(context.Background(), variable)
		}),
		private: map[string]*privateServer{
			Postgres: {engine: Postgres},
			MariaDB:  {engine: MariaDB},
		},
	}
}

// hosts lists where each test is to run.
func (b *bed) hosts() ([]host, error) {
	env, err := b.environment()
	if err != nil {
		return nil, err
	}
	var hosts []host
	for _, engine := range env.engines {
		hosts = append(hosts, b.of(engine, env)...)
	}
	return hosts, nil
}

// host is the first one of an engine.
func (b *bed) host(engine string) (host, error) {
	env, err := b.environment()
	if err != nil {
		return host{}, err
	}
	hosts := b.of(engine, env)
	if len(hosts) == 0 {
		return host{}, fmt.Errorf("dbtest: no server of engine %q; %s can list one", engine, databasesVariable)
	}
	return hosts[0], nil
}

func (b *bed) of(engine string, env environment) []host {
	if engine == SQLite {
		return []host{{engine: SQLite}}
	}
	var hosts []host
	for _, server := range env.servers {
		if server.engine == engine {
			hosts = append(hosts, host{engine, func() (adminURL, error) { return server.admin, nil }})
		}
	}
	if server, known := b.private[engine]; known && len(hosts) == 0 {
		hosts = append(hosts, host{engine, server.admin})
	}
	return hosts
}

// close stops the private servers.
func (b *bed) close() error {
	var errs []error
	for _, server := range b.private {
		errs = append(errs, server.close())
	}
	return errors.Join(errs...)
}

// privateServer is started at its first use.
type privateServer struct {
	engine string
	once   sync.Once
	server *Server
	err    error
}

func (p *privateServer) admin() (adminURL, error) {
	p.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		p.server, p.err = Launch(ctx, p.engine, ServerConfig{})
	})
	if p.err != nil {
		return adminURL{}, p.err
	}
	return p.server.admin, nil
}

func (p *privateServer) close() error {
	p.once.Do(func() { p.err = errors.New("dbtest: the tests are over") })
	if p.server == nil {
		return nil
	}
	return p.server.Close()
}

// Share starts private servers for the engines that the environment lists no server for, and returns what
// CAPE_TEST_DATABASES must say for other processes to use them. Call close when these have ended.
func Share(ctx context.Context) (databases string, closeAll func() error, err error) {
	bed := newBed(os.Getenv)
	hosts, err := bed.hosts()
	if err != nil {
		return "", nil, err
	}
	urls := make([]string, len(hosts))
	errs := make([]error, len(hosts))
	var starting sync.WaitGroup
	for i, host := range hosts {
		if host.engine == SQLite {
			continue
		}
		starting.Go(func() {
			admin, err := host.admin()
			if err != nil {
				errs[i] = err
				return
			}
			urls[i] = admin.url.String()
		})
	}
	starting.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return "", nil, errors.Join(err, bed.close())
	}
	urls = slices.DeleteFunc(urls, func(url string) bool { return url == "" })
	return strings.Join(urls, ","), bed.close, nil
}
