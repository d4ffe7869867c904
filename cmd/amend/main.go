// Command amend keeps customer accounts coherent across services that drift
// apart.
package main

import (
	"os"

	"amend/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:])) }
