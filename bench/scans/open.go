package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"amend/bench/services"
)

// open starts what the rows need: the services, the peers, a database.
func (b *bench) open(ctx context.Context, chosen []row) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := exec.CommandContext(ctx, self, "services") //nolint:gosec // this program
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the services: %w", err)
	}
	// They end when this pipe does, also where this process is killed.
	in, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the services: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the services: %w", err)
	}
	b.closers = append(b.closers, func() error { return errors.Join(in.Close(), command.Wait()) })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("start the services: %w", err)
	}
	b.services = &services.Control{}
	if err := json.Unmarshal(line, &b.services.At); err != nil {
		return fmt.Errorf("read where the services are: %w", err)
	}
	return b.build(ctx, chosen)
}

const (
	river    = "river"    // the peer that needs a database
	valgrind = "valgrind" // counts instructions
)

// peers are the folders of the programs that are no part of amend's module.
var peers = []string{"script", "workqueue", river}

// build makes the programs that the rows need beside this one, and a database
// where one does.
func (b *bench) build(ctx context.Context, chosen []row) error {
	folder, err := os.MkdirTemp("", "amend-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	b.closers = append(b.closers, func() error { return os.RemoveAll(folder) })
	b.programs = map[string]string{}
	for _, peer := range peers {
		if slices.ContainsFunc(chosen, func(r row) bool { return r.by == peer }) {
			b.programs[peer] = filepath.Join(folder, peer)
			if err := goBuild(ctx, filepath.Join("bench", "peers", peer), "-o", b.programs[peer], "."); err != nil {
				return err
			}
		}
	}
	if b.options.instructions {
		if _, err := exec.LookPath(valgrind); err != nil {
			return fmt.Errorf("instructions are counted by valgrind; install it with: apt-get install valgrind: %w", err)
		}
		b.programs[valgrind] = filepath.Join(folder, valgrind)
		// The tag lets Go's memory be understood by valgrind.
		if err := goBuild(ctx, ".", "-tags", valgrind, "-o", b.programs[valgrind], "./bench/scans"); err != nil {
			return err
		}
	}
	if b.programs[river] != "" {
		b.postgres, err = b.startPostgres()
	}
	return err
}

func goBuild(ctx context.Context, folder string, args ...string) error {
	command := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...) //nolint:gosec // constants
	command.Dir, command.Stdout, command.Stderr = folder, os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build in %s, below the project's folder: %w", folder, err)
	}
	return nil
}
