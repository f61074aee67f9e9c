package rest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/swaggest/swgui/v5emb"
)

// Document freezes the OpenAPI document and serves it, with a page that renders it from embedded assets.
func (a *API) Document() error {
	doc := a.Huma.OpenAPI()
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("the OpenAPI document: %w", err)
	}
	asYAML, err := doc.YAML()
	if err != nil {
		return fmt.Errorf("the OpenAPI document: %w", err)
	}
	a.serveDocument("/openapi.json", "application/openapi+json", asJSON)
	a.serveDocument("/openapi.yaml", "application/openapi+yaml", asYAML)
	page := v5emb.New(doc.Info.Title, a.BasePath+"/openapi.json", a.BasePath+"/docs/")
	a.router.handleOpen("GET "+a.BasePath+"/docs", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, a.BasePath+"/docs/", http.StatusMovedPermanently)
	})
	a.router.handleOpen("GET "+a.BasePath+"/docs/", page.ServeHTTP)
	a.router.frozen = true
	return nil
}

func (a *API) serveDocument(path, contentType string, content []byte) {
	tag := etag(content)
	a.router.handleOpen("GET "+a.BasePath+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", tag)
		if matches(r.Header.Values("If-None-Match"), tag, true) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(content) // the client may be gone
	})
}
