package bank

import _ "embed"

// Configuration is the reference example of the configuration language: what
// amend is told about this bank.
//
//go:embed bank.yaml
var Configuration []byte
