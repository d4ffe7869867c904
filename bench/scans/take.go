package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"amend/bench/services"
)

// measured is one sample.
type measured struct {
	outcome
	customers int
	counts    services.Counts
	begin     time.Duration // CPU before the work began
	store     time.Duration // CPU of a store in another process
	refs      int64         // instructions of the whole process, where they were counted
}

// job is one process to run.
type job struct {
	row
	load    services.Load
	counted bool // its instructions are counted
}

// String is a line of the log.
func (m measured) String() string {
	return fmt.Sprintf("%.2f µs CPU a customer, %.0f customers/s, %.1f MiB", m.cpu(), m.throughput(), m.memory())
}

// cpu is in µs a customer, the store's included.
func (m measured) cpu() float64 {
	return float64(m.Used.CPU+m.store) / float64(m.customers) / float64(time.Microsecond)
}

func (m measured) throughput() float64 { return float64(m.customers) / m.Used.Wall.Seconds() }

func (m measured) calls() float64 {
	return float64(m.counts.AllCalls()-m.Before.AllCalls()) / float64(m.customers)
}

func (m measured) bytes() float64 {
	return float64(m.counts.Bytes-m.Before.Bytes) / float64(m.customers)
}

func (m measured) memory() float64 { return float64(m.Used.Peak) / (1 << 20) }

// take runs one process, and holds what it did against what it had to do.
func (b *bench) take(ctx context.Context, j job) (m measured, err error) {
	if err := b.services.Load(ctx, j.load); err != nil {
		return m, err
	}
	expected, repairs := j.load.States(), 0
	if j.repairs {
		repairs = expected[services.Broken]
	}
	command, err := b.command(ctx, j, repairs)
	if err != nil {
		return m, err
	}
	m.customers = j.load.Customers
	before, err := b.postgres.begin(ctx, j.row)
	if err != nil {
		return m, err
	}
	if err := m.run(command); err != nil {
		return m, err
	}
	if err := b.postgres.end(ctx, j.row, before, &m); err != nil {
		return m, err
	}
	if m.counts, err = b.services.Counts(ctx); err != nil {
		return m, err
	}
	if changed := j.load.Changed(); j.way == fresh && m.Changed != changed {
		return m, fmt.Errorf("it looked at %d customers, and %d had changed", m.Changed, changed)
	}
	err = m.verify(expected, repairs)
	return m, err
}

// run starts the process and waits for it.
func (m *measured) run(command *exec.Cmd) error {
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(command.Path), err, &said)
	}
	if err := json.Unmarshal(out.Bytes(), &m.outcome); err != nil {
		return fmt.Errorf("read the outcome: %w", err)
	}
	if _, counted, is := strings.Cut(said.String(), "I   refs:"); is {
		line, _, _ := strings.Cut(strings.ReplaceAll(counted, ",", ""), "\n")
		var err error
		if m.refs, err = strconv.ParseInt(strings.TrimSpace(line), 10, 64); err != nil {
			return fmt.Errorf("read the count of instructions: %w", err)
		}
	} else if said.Len() > 0 {
		progress(os.Stderr, strings.TrimSpace(said.String()))
	}
	usage, is := command.ProcessState.SysUsage().(*syscall.Rusage)
	if !is {
		return errors.New("this system doesn't say what a process has used")
	}
	m.begin = time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) - m.Used.CPU
	return nil
}

// verify makes a sample void that saw too little, or sent anything wrong.
func (m *measured) verify(expected map[string]int, repairs int) error {
	for i, records := range m.counts.Records {
		if records < int64(m.customers) {
			return fmt.Errorf("%s gave %d records for %d customers", services.Names[i], records, m.customers)
		}
	}
	c := m.counts
	switch {
	case !maps.Equal(m.States, expected):
		return fmt.Errorf("it saw %v, and there were %v", m.States, expected)
	case c.Mended != repairs || c.Twice > 0 || c.Wrong > 0:
		return fmt.Errorf("of %d customers it mended %d; it sent %d twice and %d wrongly", repairs, c.Mended, c.Twice, c.Wrong)
	}
	return nil
}

// command is the process of a job.
func (b *bench) command(ctx context.Context, j job, repairs int) (*exec.Cmd, error) {
	at, err := json.Marshal(b.services.At)
	if err != nil {
		return nil, fmt.Errorf("write the addresses: %w", err)
	}
	args := []string{"-at", string(at), "-repairs", strconv.Itoa(repairs), "-way", j.way}
	if program, is := b.programs[j.by]; is {
		if j.by == river {
			args = append(args, "-postgres", b.postgres.url)
		}
		return exec.CommandContext(ctx, program, args...), nil //nolint:gosec // built just now
	}
	args = append([]string{"sample", "-by", j.by}, args...)
	if b.options.profile != "" {
		name := strings.NewReplacer(", ", "-", " ", "-", "%", "percent", "/", "-").Replace(j.name) + ".prof"
		args = append(args, "-profile", filepath.Join(b.options.profile, name))
	}
	if j.counted {
		args = append([]string{"--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", b.programs[valgrind]}, args...)
		return exec.CommandContext(ctx, valgrind, args...), nil //nolint:gosec // built just now
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return exec.CommandContext(ctx, self, args...), nil //nolint:gosec // this program
}
