package http

import (
	"regexp"
	"sync"

	"amend/connectors"
)

// Dialer is what connections are made with.
var Dialer = dialer

// ParseSize reads a number of bytes.
func ParseSize(text string) (int64, error) {
	var s size
	err := s.UnmarshalText([]byte(text))
	return int64(s), err
}

// IDs is what a pattern lets through, and whether a table says so.
func IDs(pattern *regexp.Regexp) (valid func(string) bool, table bool) {
	made := newIDs(pattern)
	return made.Valid, made.states != nil
}

// Forget makes a connector forget how the pages that it has listed looked.
func Forget(c connectors.Connector) { c.(*connector).list.shape.scanners = sync.Pool{} }
