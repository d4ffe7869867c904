// Package cmd is the command line, and the one place that wires everything. A
// program with connectors of its own is ten lines: it calls Main with their
// kinds.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"amend/connectors"
	"amend/connectors/http"
	"amend/connectors/sql"
)

// Exit codes, as scripts rely on them.
const (
	exitDone        = 0
	exitError       = 1
	exitPartial     = 3 // a service could not be read
	exitInterrupted = 130
)

// exit is an error that carries an exit code; its text may be empty where all
// has been said.
type exit struct {
	code int
	err  error
}

// Error is the text of what went wrong.
func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e exit) Unwrap() error { return e.err }

// app is what all commands share.
type app struct {
	stdout, stderr io.Writer
	kinds          []connectors.Kind
	clock          clock

	config   string
	output   string
	progress string
	verbose  bool
	loopback bool
}

// Main runs the command line and gives the exit code. The kinds are those of
// the program's own, beside http and sql.
func Main(args []string, kinds ...connectors.Kind) int {
	ctx, stop := signals()
	defer stop()
	// net/http logs bytes that services send unasked, and has no other place for
	// it: they could be anybody's data.
	log.SetOutput(io.Discard)
	a := &app{stdout: os.Stdout, stderr: os.Stderr, kinds: append([]connectors.Kind{http.Kind(), sql.Kind()}, kinds...)}
	return a.run(ctx, args)
}

// signals ends the context at the first SIGINT or SIGTERM, so that work is let
// go in order; a second one ends the process at once.
func signals() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-caught
		cancel()
		<-caught
		os.Exit(exitInterrupted)
	}()
	return ctx, func() { signal.Stop(caught); cancel() }
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var with exit
	if errors.As(err, &with) {
		if with.err != nil {
			fmt.Fprintln(a.stderr, "amend:", with.err)
		}
		return with.code
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(a.stderr, "amend: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(a.stderr, "amend:", err)
	return exitError
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "amend",
		Short: "Keep customer accounts coherent across services that drift apart",
		Long: `amend looks at every customer in every service, says which state the account is
in, repairs what its rules can repair, proves it by looking again, and calls a
person for everything else.

Start with: amend demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return oneOf("output", a.output, "text", "json")
		},
	}
	path := os.Getenv("AMEND_CONFIG")
	if path == "" {
		path = "amend.yaml"
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", path, "configuration: a file, or a folder whose *.yaml files are joined ($AMEND_CONFIG)")
	flags.StringVar(&a.output, "output", "text", "what results look like: text or json")
	flags.StringVar(&a.progress, "progress", "auto", "how progress is shown: auto, plain or none")
	flags.BoolVar(&a.loopback, "allow-loopback", false, "let services be called on this machine: a sidecar, a demo")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log more")
	root.AddCommand(a.demoCommand(), a.runCommand(), a.scanCommand(), a.planCommand(), a.lookupCommand(), a.healCommand(), a.approveCommand(), a.refuseCommand(), a.answerCommand(), a.checkCommand(), a.rulesCommand(), a.migrateCommand(), a.auditCommand(), a.forgetCommand(), a.pauseCommand(), a.resumeCommand(), a.versionCommand())
	return root
}

// oneID asks for what every command about a customer needs.
func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give one customer ID, not %d", len(args))
	}
	return nil
}

func oneOf(flag, value string, known ...string) error {
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return fmt.Errorf("--%s %s: one of %v belongs there", flag, value, known)
}

// logger writes for people on a terminal, and JSON for machines otherwise.
func (a *app) logger(level slog.Level) *slog.Logger {
	if a.verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	if terminal(a.stderr) {
		return slog.New(slog.NewTextHandler(a.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(a.stderr, options))
}

func terminal(stream any) bool {
	f, isFile := stream.(*os.File)
	return isFile && isatty.IsTerminal(f.Fd())
}
