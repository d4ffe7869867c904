// Package bench measures amend against hand-written loops that do the same work
// on the same services: the limit of what could be had. It holds benchmarks
// only; make bench runs them.
package bench
