// Package clients tests streams with the clients that people have: EventSource, WebSocket and fetch in Chromium, npm's
// eventsource and ws, with nginx between; and what is counted with Prometheus. Everything in it is a test.
//
// What it runs of JavaScript and of nginx's configuration is what docs/live.md shows.
package clients
