package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"amend/bench/services"
	"amend/config"
	"amend/connectors"
	kindhttp "amend/connectors/http"
	"amend/lifecycle"
	"amend/queue"
	"amend/reconciler"
	"amend/store"
)

// byAmend scans all customers with the real engine and a durable store, and
// repairs whoever can be where the task says so.
func byAmend(ctx context.Context, t task) (o outcome, err error) {
	folder, err := os.MkdirTemp("", "amend-bench-")
	if err != nil {
		return o, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // what is left is temporary
	e, err := engine(ctx, t, folder)
	if err != nil {
		return o, err
	}
	defer e.Store.Close() //nolint:errcheck // what matters was read
	if err := established(ctx, e); err != nil {
		return o, err
	}
	control := &services.Control{At: t.At}
	if t.Way == fresh { // what comes before is a scan of everybody
		if o.States, err = scanAndRepair(ctx, e, control, t.Repairs); err != nil {
			return o, err
		}
		if o.Before, err = control.Counts(ctx); err != nil {
			return o, err
		}
	}
	file := filepath.Join(folder, storeFile)
	before, err := transactions(file)
	if err != nil {
		return o, err
	}
	if err := o.work(ctx, t, e, control); err != nil {
		return o, err
	}
	after, err := transactions(file)
	if err != nil {
		return o, err
	}
	o.Writes = int(after - before)
	if t.Repairs > 0 {
		o.Waits, err = healed(ctx, file)
	}
	return o, err
}

// work is what is measured.
func (o *outcome) work(ctx context.Context, t task, e *reconciler.Engine, control *services.Control) error {
	watch, err := t.start()
	if err != nil {
		return err
	}
	switch t.Way {
	case fresh:
		o.Changed, err = scanFresh(ctx, e)
	case visited:
		o.States, o.Waits, err = scanBesidePeople(ctx, e)
	default:
		o.States, err = scanAndRepair(ctx, e, control, t.Repairs)
	}
	if err != nil {
		return err
	}
	o.Used, err = watch.stop()
	return err
}

const storeFile = "amend.db"

func engine(ctx context.Context, t task, folder string) (*reconciler.Engine, error) {
	text, err := document(t.Way)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "amend.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	environment := map[string]string{"SETTLE": "0s"}
	for i, name := range services.Names {
		environment[strings.ToUpper(name)+"_URL"] = t.At.Services[i]
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg, err := config.Load(config.Options{Path: path, Kinds: []connectors.Kind{kindhttp.Kind()},
		Getenv:       func(name string) (string, bool) { v, set := environment[name]; return v, set },
		Surroundings: connectors.Surroundings{Now: time.Now, Log: log, Loopback: true}})
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(folder, storeFile), store.Options{Log: log, Audit: filepath.Join(folder, "audit")})
	if err != nil {
		return nil, err
	}
	return &reconciler.Engine{Schema: cfg.Schema, Environment: cfg.Environment, Machine: cfg.Machine, Rules: cfg.Rules, Connectors: cfg.Connectors,
		Source: cfg.Scans.Source, Store: s, Queue: queue.NewLocal(s.Now, log), Now: s.Now, Log: log}, nil
}

// established writes down that a full scan has ended with the rules as they
// are. Before that no rule acts, and whoever the scan finds is looked at in vain:
// that is so once for each change of a rule, and not what a scan costs.
func established(ctx context.Context, e *reconciler.Engine) error {
	if err := e.Begin(ctx); err != nil {
		return err
	}
	_, page, err := e.Store.StartScan(ctx, store.FullScan, "bench")
	if err != nil {
		return err
	}
	held, _, err := e.Store.ClaimPage(ctx, page, time.Minute)
	if err != nil {
		return err
	}
	_, err = e.Store.FinishPage(ctx, held, store.Counted{Customers: 1_000_000})
	return err
}

// scanAndRepair makes a full scan and works until so many customers are
// repaired. It gives the states that the scan saw.
func scanAndRepair(ctx context.Context, e *reconciler.Engine, bank *services.Control, repairs int) (map[string]int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worked := make(chan error, 1)
	if repairs > 0 {
		go func() { worked <- e.Run(ctx, nil) }()
	}
	scan, err := e.Scan(ctx, store.FullScan, "bench")
	if err != nil || repairs == 0 {
		return scan.States, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		// The services are asked first, because to count cases costs more than to
		// heal one.
		sent, err := bank.Counts(ctx)
		if err != nil {
			return nil, err
		}
		if sent.Mended < repairs {
			continue
		}
		counts, err := e.Store.CountCases(ctx)
		switch {
		case err != nil:
			return nil, err
		case counts.Open[lifecycle.Escalated] > 0:
			return nil, fmt.Errorf("%d cases are with people", counts.Open[lifecycle.Escalated])
		case counts.ByRule >= repairs:
			cancel()
			return scan.States, <-worked
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// scanFresh looks at what changed since the scan before. It gives how many
// customers it looked at.
func scanFresh(ctx context.Context, e *reconciler.Engine) (int, error) {
	scan, err := e.Scan(ctx, store.FreshScan, "bench")
	return scan.Customers, err
}

// transactions is how often SQLite has written to a store: the counter in the
// header of its wal-index, which stands at its ninth byte in the machine's own
// order (https://sqlite.org/walformat.html, 2.1).
func transactions(path string) (uint32, error) {
	file, err := os.Open(path + "-shm")
	if err != nil {
		return 0, fmt.Errorf("count the transactions: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was read
	var n [4]byte
	if _, err := file.ReadAt(n[:], 8); err != nil {
		return 0, fmt.Errorf("count the transactions: %w", err)
	}
	return binary.NativeEndian.Uint32(n[:]), nil
}
