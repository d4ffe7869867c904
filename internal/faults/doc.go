// Package faults tests amend as a process among processes: real workers, started
// as anybody starts them, are killed, stopped and cut off from their database,
// while a bank outside of them keeps its own ledger of what it was asked to do.
//
// Its tests are the faults T01 to T04, T07 to T10, T22 to T24, T32, T33 and T35,
// and they know amend by its command line, its configuration, the tables of its
// store and its crash points alone. A normal run takes each fault a few times; a
// soak (make soak) plays rounds with more of them, and adds up their figures.
package faults
