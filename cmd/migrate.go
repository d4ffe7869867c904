package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"amend"
	"amend/queue/river"
	"amend/store"
)

func (a *app) migrateCommand() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the store's schema up to date; move from one store to another",
		Long: `Bring the schema of the configured store up to date. A file is also brought up to
date whenever amend opens it; a PostgreSQL database only by this command, since
workers of the older version may still run on it: stop them first.

--from moves to the configured store: it copies everything from another one, the
identity that idempotency keys come from included. The new store must be empty.
No worker may run on either.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.migrate(c.Context(), from) },
	}
	c.Flags().StringVar(&from, "from", "", "copy everything from this store: sqlite:FILE or postgres://…")
	return c
}

func (a *app) migrate(ctx context.Context, from string) error {
	log := a.logger(slog.LevelWarn)
	cfg, err := a.load(log)
	if err != nil {
		return err
	}
	if from == cfg.Store.URL {
		return &amend.Error{Code: amend.Invalid, Text: "--from is the store that is configured", Next: "write the new one into store.url"}
	}
	if err := store.Migrate(ctx, cfg.Store.URL); err != nil {
		return err
	}
	if store.IsPostgres(cfg.Store.URL) {
		if err := river.Migrate(ctx, cfg.Store.URL); err != nil {
			return err
		}
	}
	if from == "" {
		fmt.Fprintln(a.stdout, "The store is up to date.")
		return nil
	}
	to, end, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(log, "the store", end)
	return a.move(ctx, from, to, log)
}

// move copies a store, with both held so that no worker begins meanwhile.
func (a *app) move(ctx context.Context, address string, to *store.Store, log *slog.Logger) (err error) {
	from, err := store.Open(ctx, address, store.Options{Log: log})
	if err != nil {
		return fmt.Errorf("open the store to copy from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	for _, s := range []*store.Store{from, to} {
		if err := s.LockWorker(); err != nil {
			return err
		}
	}
	copied, err := from.CopyTo(ctx, to)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(copied)
	}
	fmt.Fprintln(a.stdout, "Copied:")
	for _, table := range slices.Sorted(maps.Keys(copied)) {
		fmt.Fprintf(a.stdout, "  %9s  %s\n", number(copied[table]), table)
	}
	fmt.Fprintln(a.stdout, "\nThe old store is as it was. Don't let a worker run on it again: it would repair beside the new one.")
	return nil
}
