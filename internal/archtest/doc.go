// Package archtest holds the project to its own picture: who may import whom
// (picture_test.go), how a package is documented and how long things may get
// (shape_test.go), and what tests and texts may not contain (habits_test.go).
// All of it is tests; there is nothing to import.
package archtest
