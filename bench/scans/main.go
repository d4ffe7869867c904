// Command scans measures whole scans: amend beside hand-written loops and
// beside what people would use instead, on the same services, in fresh processes
// whose order is shuffled. It prints one table.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"amend/bench/services"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1) //nolint:gocritic // nothing waits for the signal any more
	}
}

// run is the harness, or one of the processes that it starts.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "services":
			ctx, cancel := context.WithCancel(ctx)
			go func() {
				io.Copy(io.Discard, os.Stdin) //nolint:errcheck // whoever started this has ended
				cancel()
			}()
			return services.Run(ctx, func(at services.Addresses) error { return json.NewEncoder(out).Encode(at) })
		case "sample":
			return sample(ctx, args[1:], out)
		}
	}
	return harness(ctx, args, out)
}
