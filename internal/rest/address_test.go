package rest

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	const xff, forwarded = "X-Forwarded-For", "Forwarded"
	for name, test := range map[string]struct {
		remote string
		header http.Header
		want   string
	}{
		"no proxy":                      {"192.0.2.1:99", nil, "192.0.2.1"},
		"an untrusted one is not asked": {"192.0.2.1:99", http.Header{xff: {"198.51.100.7"}}, "192.0.2.1"},
		"a trusted one":                 {"10.0.0.1:99", http.Header{xff: {"198.51.100.7"}}, "198.51.100.7"},
		"what the client wrote":         {"10.0.0.1:99", http.Header{xff: {"203.0.113.9, 198.51.100.7"}}, "198.51.100.7"},
		"two proxies":                   {"10.0.0.1:99", http.Header{xff: {"198.51.100.7", "10.0.0.2"}}, "198.51.100.7"},
		"the standard header":           {"[2001:db8::1]:99", http.Header{forwarded: {`for="[2001:dead::7]:80";proto=https`}}, "2001:dead::7"},
		"hidden by the proxy":           {"10.0.0.1:99", http.Header{forwarded: {"for=_hidden"}}, "10.0.0.1"},
		"both agree":                    {"10.0.0.1:99", http.Header{xff: {"198.51.100.7"}, forwarded: {"for=198.51.100.7"}}, "198.51.100.7"},
		"one is the client's own":       {"10.0.0.1:99", http.Header{xff: {"198.51.100.7"}, forwarded: {"for=203.0.113.9"}}, "10.0.0.1"},
		"an IPv4 address in IPv6":       {"[::ffff:10.0.0.1]:99", http.Header{xff: {"::ffff:198.51.100.7"}}, "198.51.100.7"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		r.Header = test.header
		if got := clientAddress(r, trusted); got != netip.MustParseAddr(test.want) {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}
