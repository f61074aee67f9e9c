package jwt

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesEachMistake(t *testing.T) {
	t.Parallel()
	good := func() Config {
		return Config{Issuer: testIssuer, Audience: []string{testAudience}, KeySet: "https://issuer.example.com/keys"}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"Issuer: name":             func(c *Config) { c.Issuer = "" },
		"AnyIssuer: leave":         func(c *Config) { c.AnyIssuer = true },
		"Audience: name":           func(c *Config) { c.Audience = nil },
		"AnyAudience: leave":       func(c *Config) { c.AnyAudience = true },
		`Audience: ""`:             func(c *Config) { c.Audience = []string{""} },
		"set one of them":          func(c *Config) { c.KeySet = "" },
		"Secrets: set one of them": func(c *Config) { c.Secrets = [][]byte{testSecret}; c.Algorithms = []string{"HS256"} },
		"KeySet: want a URL":       func(c *Config) { c.KeySet = "file:///etc/passwd" },
		"use https":                func(c *Config) { c.KeySet = "http://issuer.example.com/keys" },
		"Keys: key 1":              func(c *Config) { c.KeySet = ""; c.Keys = []crypto.PublicKey{rsaPair().private} },
		"of 2048 to":               func(c *Config) { c.KeySet = ""; c.Keys = []crypto.PublicKey{(*rsa.PublicKey)(nil)} },
		"has 32 bytes":             func(c *Config) { c.KeySet = ""; c.Keys = []crypto.PublicKey{ed25519.PublicKey("short")} },
		"want at least 32":         func(c *Config) { c.KeySet = ""; c.Secrets = [][]byte{[]byte("short")} },
		`Algorithms: "HS256"`:      func(c *Config) { c.Algorithms = []string{"RS256", "HS256"} },
		`Algorithms: "RS256"`: func(c *Config) {
			c.KeySet, c.Secrets, c.Algorithms = "", [][]byte{testSecret}, []string{"RS256"}
		},
		`Roles: ""`:                    func(c *Config) { c.Roles = []string{""} },
		"Refetch and Timeout: want":    func(c *Config) { c.Timeout = -time.Second },
		"Refresh, Refetch and Timeout": func(c *Config) { c.Refresh = -1 },
	} {
		c := good()
		change(&c)
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	_, err := New(Config{KeySet: "http://user:hidden@issuer.example.com/"})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v: want three mistakes, without the password", err)
	}
	for _, address := range []string{"http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]:1/keys"} {
		c := good()
		c.KeySet = address
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	c := good()
	c.KeySet, c.Insecure = "http://keycloak:8080/keys", true
	if _, err := New(c); err != nil {
		t.Error(err)
	}
}

func TestRedirectsOfTheDefaultClient(t *testing.T) {
	t.Parallel()
	request := func(address string) *http.Request {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	plain, secure := request("http://a/"), request("https://a/")
	for _, c := range []struct {
		to   *http.Request
		via  []*http.Request
		okay bool
	}{
		{secure, []*http.Request{secure}, true},
		{plain, []*http.Request{plain}, true},
		{secure, []*http.Request{plain}, true},
		{plain, []*http.Request{secure}, false},
		{plain, []*http.Request{secure, secure}, false},
		{secure, []*http.Request{secure, secure, secure, secure, secure}, false},
	} {
		if err := stayEncrypted(c.to, c.via); (err == nil) != c.okay {
			t.Errorf("from %v to %v: %v", c.via[0].URL, c.to.URL, err)
		}
	}
}
