package main

import (
	"embed"
	"net/http"

	"github.com/capebase/capebase"
)

//go:embed page
var files embed.FS

// page serves the page at / and what it loads. It is plain HTML, CSS and JavaScript that talks to the API as any other
// client does.
func page(cape *capebase.Cape) {
	cape.Handle("GET /{$}", file("page/index.html"))
	for _, name := range []string{"todo.css", "todo.js"} {
		cape.Handle("GET /page/"+name, file("page/"+name))
	}
}

func file(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer") // links in mails have tokens
		http.ServeFileFS(w, r, files, name)
	})
}
