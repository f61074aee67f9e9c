package capebase_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/policy"
)

// serveTodos starts a backend and sends it one request.
func serveTodos(cape *capebase.Cape) {
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.Read, policy.Anyone())
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	cape.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/todo", nil))
}

// printRequests prints what a scrape says of requests.
func printRequests(metrics http.Handler) {
	answer := httptest.NewRecorder()
	metrics.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "capebase_http_requests_total") {
			fmt.Print(line)
		}
	}
}

// The handler belongs on an address that only Prometheus reaches: http.ListenAndServe("127.0.0.1:9464", metrics).
func ExampleCape_Metrics() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end
	metrics := cape.Metrics()

	serveTodos(cape)
	printRequests(metrics)
	// Output: capebase_http_requests_total{method="GET",route="/todo",status="200"} 1
}

// A program with a registry of its own adds CapeBase's metrics to it.
func ExampleCape_Collector() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end
	registry := prometheus.NewRegistry()
	registry.MustRegister(cape.Collector())

	serveTodos(cape)
	printRequests(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	// Output: capebase_http_requests_total{method="GET",route="/todo",status="200"} 1
}
