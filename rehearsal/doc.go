// Package rehearsal runs the real engine against services that go wrong, in
// virtual time, and watches every move that it makes.
//
// A [Plan] says what happens: how many customers there are, which services fail
// and how, when the worker dies, when the clock jumps, what people do meanwhile.
// [Run] plays it with the engine, its store and its connectors as they are: HTTP
// goes over connections in memory to real servers, the store is a file. After
// every move the run is held against the ledger of the services and against the
// store; the first promise that is broken ends it as a [Violation].
//
// Everything that touches the world outside of its own goroutine takes turns: a
// seeded scheduler waits until nothing moves any more, and lets one go on. So
// the same plan gives the same [Trace], and a failure can be played again and
// made smaller by [Shrink].
//
// Virtual time is testing/synctest's, which only tests have: a run is given its
// Wait function and has to be called in a bubble. Nothing else here knows of it.
package rehearsal
