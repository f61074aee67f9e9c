package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
)

// userHeader is what the proxy tells of the caller. It has to remove what clients send under this name.
const userHeader = "X-Forwarded-User"

// fromProxy believes the header of a request that comes from a trusted proxy itself. Anybody can write the header, and
// X-Forwarded-For as well: what counts is the address of the connection. A middleware that replaces RemoteAddr by what a
// header says, as some routers have, must not run before this.
func fromProxy(trusted []netip.Prefix) auth.Func {
	return func(r *http.Request) (auth.Identity, error) {
		users := r.Header.Values(userHeader)
		if len(users) == 0 {
			return auth.Identity{}, nil
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnauthenticated, err)
		}
		believed := slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
		if !believed || len(users) != 1 || users[0] == "" {
			return auth.Identity{}, fmt.Errorf("%w: %s from %s", auth.ErrUnauthenticated, userHeader, peer.Addr())
		}
		return auth.Identity{ID: users[0], Session: "proxy"}, nil
	}
}

// The claims that withTenants adds: lists of tenants.
const (
	claimMember = "member_of"
	claimAdmin  = "admin_of"
)

// withTenants adds to what another authenticator finds. It runs with each request, and again for open streams when
// Recheck says so.
func withTenants(cape *capebase.Cape, inner auth.Authenticator) auth.Func {
	return func(r *http.Request) (auth.Identity, error) {
		id, err := inner.Authenticate(r)
		if err != nil || id.ID == "" {
			return id, err
		}
		// Nobody is asking yet, so the rules do not apply: the reason says why that is right.
		db := cape.DB(auth.Privileged(r.Context(), "who belongs where"))
		var memberships []Membership
		if err := db.Where("user_id = ?", id.ID).Order("tenant").Find(&memberships).Error; err != nil {
			return auth.Identity{}, err // 503: it is not the caller's mistake
		}
		member, admin := []string{}, []string{}
		for _, m := range memberships {
			member = append(member, m.Tenant)
			if m.Admin {
				admin = append(admin, m.Tenant)
			}
		}
		id.Claims = map[string]any{claimMember: member, claimAdmin: admin}
		return id, nil
	}
}
