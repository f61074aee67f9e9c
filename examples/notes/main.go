// Command notes keeps the notes of many tenants in one table. Who belongs to a tenant is a table too: an authenticator
// loads it into claims, the rules compare claims with columns, and a change of it acts on open streams at once.
//
//	ADDR           where to listen; default 127.0.0.1:8080
//	DATABASE_URL   default sqlite:notes.db; postgres://… and mysql://… work as well
//	NOTES_PROXIES  reverse proxies whose X-Forwarded-User is believed, such as 10.0.0.0/8,127.0.0.1/32; default none
//
// Sign-in is the proxy's business (oauth2-proxy, Authelia, Pomerium). To try it without one, trust yourself:
//
//	NOTES_PROXIES=127.0.0.1/32 go run ./examples/notes
//	curl -H 'X-Forwarded-User: alice' -d '{"name":"acme"}' localhost:8080/tenants
//	curl -H 'X-Forwarded-User: alice' -d '{"tenant":"acme","text":"hello"}' localhost:8080/note
//	curl -H 'X-Forwarded-User: alice' -d '{"tenant":"acme","user_id":"bob"}' localhost:8080/membership
//	curl -H 'X-Forwarded-User: bob' -N 'localhost:8080/note/subscribe?snapshot=true'
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

// Tenant is somebody who has notes; its name is unique.
type Tenant struct {
	Name      string `json:"name" gorm:"primaryKey;size:40"`
	CreatedAt time.Time
}

// Membership lets a user into a tenant.
type Membership struct {
	ID     int64  `json:"id"`
	Tenant string `json:"tenant" gorm:"size:40;uniqueIndex:membership" cape:"immutable"`
	UserID string `json:"user_id" gorm:"size:200;uniqueIndex:membership;index" cape:"immutable"`
	Admin  bool   `json:"admin" gorm:"default:false"` // may let others in
}

// Note is what a tenant's members share.
type Note struct {
	ID        int64     `json:"id"`
	Tenant    string    `json:"tenant" gorm:"size:40;index" cape:"immutable"`
	Author    string    `json:"author" cape:"auth.id"`
	Text      string    `json:"text" minLength:"1" maxLength:"10000"`
	CreatedAt time.Time `json:"created_at" cape:"readonly"`
}

func main() {
	proxies, err := parsePrefixes(os.Getenv("NOTES_PROXIES"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = run(ctx, settings{
		address:  cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"),
		database: cmp.Or(os.Getenv("DATABASE_URL"), "sqlite:notes.db"),
		proxies:  proxies,
		logger:   slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
}

type settings struct {
	address, database string
	proxies           []netip.Prefix
	logger            *slog.Logger
}

func run(ctx context.Context, s settings) error {
	db, err := database(s.database)
	if err != nil {
		return err
	}
	cape, err := capebase.Open(db, capebase.Config{Logger: s.logger, TrustedProxies: s.proxies})
	if err != nil {
		return err
	}
	cape.UseAuth(withTenants(cape, fromProxy(s.proxies)))

	tenants := capebase.Publish[Tenant](cape, capebase.Private()) // made by POST /tenants alone
	tenants.Allow(policy.Read, policy.Claim(&tenants.Fields.Name, claimMember))

	memberships := capebase.Publish[Membership](cape)
	memberships.Allow(policy.Read, policy.Claim(&memberships.Fields.Tenant, claimMember))
	memberships.Allow(policy.Write, policy.Claim(&memberships.Fields.Tenant, claimAdmin))
	memberships.OnChange(recheck(cape))

	notes := capebase.Publish[Note](cape)
	notes.Allow(policy.Read, policy.Claim(&notes.Fields.Tenant, claimMember))
	notes.Allow(policy.Write, policy.Claim(&notes.Fields.Tenant, claimMember), policy.Owner(&notes.Fields.Author))
	notes.Allow(policy.Delete, policy.Claim(&notes.Fields.Tenant, claimAdmin))

	huma.Post(cape.API(), "/tenants", found(cape))
	return cape.ListenAndServe(ctx, s.address)
}

// recheck lets a change of who belongs where act on open streams: their authenticators are asked again, in each process
// that runs this program, since each sees the change.
func recheck(cape *capebase.Cape) func(context.Context, capebase.Change[Membership]) {
	return func(_ context.Context, c capebase.Change[Membership]) {
		cape.Recheck(func(id auth.Identity) bool {
			return c.Event == capebase.Reset || id.ID == c.Row.UserID || c.Before != nil && id.ID == c.Before.UserID
		})
	}
}

type foundInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"40" pattern:"^[a-z0-9-]+$"`
	}
}

type foundOutput struct{ Body Membership }

// found makes a tenant and its first member, which no rule allows: the code that lifts the limits says why. A name that is
// taken is 409.
func found(cape *capebase.Cape) func(context.Context, *foundInput) (*foundOutput, error) {
	return func(ctx context.Context, in *foundInput) (*foundOutput, error) {
		founder := auth.From(ctx)
		if founder.ID == "" {
			return nil, huma.Error401Unauthorized("sign in first")
		}
		out := &foundOutput{Body: Membership{Tenant: in.Body.Name, UserID: founder.ID, Admin: true}}
		err := cape.Transaction(auth.Privileged(ctx, "found a tenant"), func(ctx context.Context) error {
			if err := cape.DB(ctx).Create(&Tenant{Name: in.Body.Name}).Error; err != nil {
				return err
			}
			return cape.DB(ctx).Create(&out.Body).Error
		})
		return out, err
	}
}

// database chooses the engine by the URL's scheme. The URL stays out of errors: it may hold a password.
func database(url string) (capebase.Database, error) {
	scheme, path, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return sqlite.File(path), nil
	case "postgres", "postgresql":
		return postgres.URL(url), nil
	case "mysql", "mariadb":
		return mysql.URL(url), nil
	}
	return nil, fmt.Errorf("DATABASE_URL: scheme %q: expected sqlite:FILE, postgres://… or mysql://…", scheme)
}

// parsePrefixes reads networks, separated by commas.
func parsePrefixes(list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, entry := range strings.Split(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("NOTES_PROXIES: %w", err)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
