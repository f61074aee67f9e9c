package rest

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is where the request came from. A proxy is believed only when it is trusted, and what it forwards only
// as far back as proxies are: the first untrusted address from the right is the client's. A proxy that writes one of the
// two headers may pass on the other as the client wrote it: where they disagree, neither is believed.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	if !contains(trusted, address) {
		return address
	}
	standard, usual := forwarded(r.Header), forwardedFor(r.Header)
	switch {
	case standard == nil:
		return lastUntrusted(address, usual, trusted)
	case usual == nil:
		return lastUntrusted(address, standard, trusted)
	}
	if client := lastUntrusted(address, usual, trusted); client == lastUntrusted(address, standard, trusted) {
		return client
	}
	return address
}

// lastUntrusted follows the hops from the right, from a proxy that is trusted.
func lastUntrusted(address netip.Addr, hops []string, trusted []netip.Prefix) netip.Addr {
	for i := len(hops) - 1; i >= 0; i-- {
		hop := parseAddress(hops[i])
		if !hop.IsValid() {
			return address
		}
		address = hop
		if !contains(trusted, address) {
			break
		}
	}
	return address
}

// forwarded lists the hops of the standard header (RFC 7239).
func forwarded(h http.Header) []string {
	var hops []string
	for _, line := range h.Values("Forwarded") {
		for element := range strings.SplitSeq(line, ",") {
			for pair := range strings.SplitSeq(element, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				if strings.EqualFold(name, "for") {
					hops = append(hops, strings.Trim(value, `"`))
				}
			}
		}
	}
	return hops
}

func forwardedFor(h http.Header) []string {
	var hops []string
	for _, line := range h.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(line, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops
}

// parseAddress reads an address with or without port and brackets; the zero Addr when it is none.
func parseAddress(s string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap()
	}
	address, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}

func contains(prefixes []netip.Prefix, address netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
