package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"amend/bench/hand"
	"amend/bench/services"
)

// task is what one process does, once.
type task struct {
	At      services.Addresses
	By      string // hand or amend
	Way     string
	Repairs int    // customers to be repaired
	Profile string // where its CPU profile goes; empty for none
}

// outcome is what a process says at its end, as JSON.
type outcome struct {
	States  map[string]int  `json:"states"`
	Changed int             `json:"changed"` // customers whom a fresh scan looked at
	Before  services.Counts `json:"before"`  // what the services were asked for before the work began
	Waits   []time.Duration `json:"waits"`   // for repairs, or for pages
	Used    used            `json:"used"`
	Writes  int             `json:"writes"` // to its store
}

// used is what the work has taken, without what the process needed to begin.
type used struct {
	CPU  time.Duration `json:"cpu"`
	Wall time.Duration `json:"wall"`
	Peak int64         `json:"peak"` // of the process's memory, in bytes
}

// sample is the process that does one task.
func sample(ctx context.Context, args []string, out io.Writer) error {
	var t task
	var at string
	flags := flag.NewFlagSet("sample", flag.ContinueOnError)
	flags.StringVar(&at, "at", "", "where the services are, as JSON")
	flags.StringVar(&t.By, "by", "amend", "who looks: hand or amend")
	flags.StringVar(&t.Way, "way", merged, "how: merged, masked, batches, singly, fresh or visited")
	flags.IntVar(&t.Repairs, "repairs", 0, "how many customers have to be repaired")
	flags.StringVar(&t.Profile, "profile", "", "where the CPU profile goes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(at), &t.At); err != nil {
		return fmt.Errorf("-at: %w", err)
	}
	do := byAmend
	if t.By == "hand" {
		do = byHand
	}
	o, err := do(ctx, t)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(o)
}

const (
	handLanes      = 32 // as many single reads at once
	handBatchLanes = 4  // lanes that read batches
)

func byHand(ctx context.Context, t task) (o outcome, err error) {
	watch, err := t.start()
	if err != nil {
		return o, err
	}
	bank := hand.Bank{Services: t.At.Services, Masked: t.Way == masked}
	switch t.Way {
	case merged, masked:
		o.States, err = hand.Merge(ctx, bank)
	case batches:
		o.States, err = hand.Batches(ctx, bank, handBatchLanes)
	case singly:
		o.States, err = hand.Singly(ctx, bank, handLanes)
	default:
		err = fmt.Errorf("-way %s: it can't be looked that way", t.Way)
	}
	if err != nil {
		return o, err
	}
	o.Used, err = watch.stop()
	return o, err
}

// stopwatch measures a process from when its work begins.
type stopwatch struct {
	cpu     time.Duration
	wall    time.Time
	profile *os.File
}

func (t task) start() (w stopwatch, err error) {
	if t.Profile != "" {
		if w.profile, err = os.Create(t.Profile); err != nil {
			return w, fmt.Errorf("make the profile: %w", err)
		}
		if err := pprof.StartCPUProfile(w.profile); err != nil {
			return w, fmt.Errorf("begin the profile: %w", err)
		}
	}
	w.cpu, err = ownCPU()
	w.wall = time.Now()
	return w, err
}

func (w stopwatch) stop() (used, error) {
	cpu, err := ownCPU()
	u := used{CPU: cpu - w.cpu, Wall: time.Since(w.wall)}
	if w.profile != nil {
		pprof.StopCPUProfile()
		if err := w.profile.Close(); err != nil {
			return u, fmt.Errorf("write the profile: %w", err)
		}
	}
	if err != nil {
		return u, err
	}
	u.Peak, err = peak()
	return u, err
}

// peak is the most memory that this process had at once. The kernel's account
// for a parent won't do: it counts what the parent had when it forked.
func peak() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read the memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kibibytes int64
	if _, err := fmt.Sscan(rest, &kibibytes); err != nil {
		return 0, fmt.Errorf("read the memory: %w", err)
	}
	return kibibytes << 10, nil
}

// ownCPU is the CPU time of this process, in user mode and in the kernel.
func ownCPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
