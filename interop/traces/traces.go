// Package traces is the test that producers and consumers in different languages, and
// the server between them, join one trace.
package traces
