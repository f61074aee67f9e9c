package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/swaggest/swgui/v5emb"
)

// Document freezes the OpenAPI document and serves it, with a page that renders it from embedded assets.
func (a *API) Document() error {
	doc := a.Huma.OpenAPI()
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("the OpenAPI document: %w", err)
	}
	frozen := newDocument(asJSON)
	a.serveDocument("/openapi.json", "application/openapi+json", func() (document, error) { return frozen, nil })
	// YAML takes milliseconds for each resource, and few ask for it.
	a.serveDocument("/openapi.yaml", "application/openapi+yaml", sync.OnceValues(func() (document, error) {
		asYAML, err := doc.YAML()
		if err != nil {
			return document{}, fmt.Errorf("the OpenAPI document: %w", err)
		}
		return newDocument(asYAML), nil
	}))
	page := v5emb.New(doc.Info.Title, a.BasePath+"/openapi.json", a.BasePath+"/docs/")
	a.router.handleOpen("GET "+a.BasePath+"/docs", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, a.BasePath+"/docs/", http.StatusMovedPermanently)
	})
	a.router.handleOpen("GET "+a.BasePath+"/docs/", page.ServeHTTP)
	a.router.frozen = true
	return nil
}

// document is the OpenAPI document in a format.
type document struct {
	content []byte
	tag     string
}

func newDocument(content []byte) document { return document{content, etag(content)} }

func (a *API) serveDocument(path, contentType string, read func() (document, error)) {
	a.router.handleOpen("GET "+a.BasePath+path, func(w http.ResponseWriter, r *http.Request) {
		doc, err := read()
		if err != nil {
			a.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", doc.tag)
		if matches(r.Header.Values("If-None-Match"), doc.tag, true) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(doc.content) // the client may be gone
	})
}
