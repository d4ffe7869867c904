// Package testproc runs a helper program of a test, such as a database or a
// browser, that lives exactly as long as the test process: one per process,
// started by the first test that wants it, gone with its folder when the
// process ends, however it ends.
//
// Tests have no hook that runs after the last of them without a TestMain in
// every package, and none at all that runs after a crash. So the program is
// the child of a small shell that waits on a pipe from the test process. The
// pipe closes when the test process is gone; the shell then stops the program
// and removes its folder.
package testproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// guard is run by sh with the folder, the signal and the program's command.
// A program that does not heed the signal is killed after two seconds.
// Removing the folder is tried again because grandchildren of a browser still
// write for a moment after it has gone.
const guard = `
dir=$1 signal=$2
shift 2
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
( cat <&3; kill -s "$signal" $program; sleep 2; kill -s KILL $program ) >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait $program
code=$?
kill $watch 2>/dev/null
for try in 1 2 3 4 5; do rm -rf "$dir" 2>/dev/null && break; sleep 0.1; done
exit $code
`

// memory is where Linux keeps files in memory.
const memory = "/dev/shm"

// pause is how long Ready rests between two tries.
const pause = 10 * time.Millisecond

// Program says what to run and how.
type Program struct {
	// Name begins the folder's name, which is short because the paths of Unix
	// sockets in it may not exceed 107 bytes.
	Name string
	// Command builds the command line, given the program's own empty folder.
	Command func(dir string) []string
	// Env is added to the environment. HOME and TMPDIR are always the folder.
	Env []string
	// Signal asks the program to stop, by name: TERM, INT, QUIT.
	Signal string
	// User runs the program and owns the folder; nil means the current user.
	User *syscall.Credential
	// InMemory asks for a folder in memory, where there is room. Copying a
	// database's files there takes a tenth of the time.
	InMemory bool
}

// Process is a started program.
type Process struct {
	// Dir is the program's folder.
	Dir string

	log   *os.File
	alive io.Closer
	done  chan struct{}
	err   error
}

// Start makes the folder and starts the program in it. It does not wait until
// the program serves; see Ready.
func Start(program Program) (*Process, error) {
	dir, err := makeDir(program)
	if err != nil {
		return nil, err
	}
	process, err := start(program, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return process, nil
}

func makeDir(program Program) (string, error) {
	// Not os.TempDir: its path may be long, and closed to another user.
	parent := "/tmp"
	if program.InMemory && hasRoom(memory) {
		parent = memory
	}
	dir, err := os.MkdirTemp(parent, program.Name+"-")
	if err != nil {
		return "", fmt.Errorf("make the folder of %s: %w", program.Name, err)
	}
	if program.User == nil {
		return dir, nil
	}
	if err := os.Chown(dir, int(program.User.Uid), int(program.User.Gid)); err != nil {
		return "", errors.Join(fmt.Errorf("give the folder of %s to its user: %w", program.Name, err), os.RemoveAll(dir))
	}
	return dir, nil
}

// hasRoom tells whether a gibibyte is free under the folder. In a container
// /dev/shm often holds 64 MiB, which a database soon fills.
func hasRoom(folder string) bool {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return false
	}
	return uint64(stat.Bavail)*uint64(stat.Bsize) >= 1<<30 //nolint:unconvert // Bsize has another type on other systems
}

func start(program Program, dir string) (*Process, error) {
	log, err := openLog()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-c", guard, "sh", dir, program.Signal}, program.Command(dir)...)
	shell := exec.CommandContext(context.Background(), "/bin/sh", args...) //nolint:gosec // running what the test names is its purpose
	shell.Dir = dir
	shell.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	shell.Env = append(shell.Env, program.Env...)
	shell.Stdout, shell.Stderr = log, log
	// A group of its own: Ctrl-C must reach the test process alone, or the
	// shell would die before it has tidied up.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: program.User}
	alive, err := shell.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open the pipe to %s: %w", program.Name, err)
	}
	if err := shell.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program.Name, err)
	}
	process := &Process{Dir: dir, log: log, alive: alive, done: make(chan struct{})}
	go func() {
		process.err = shell.Wait()
		close(process.done)
	}()
	return process, nil
}

// openLog opens a file without a name, so that the log can still be read when
// the folder is gone, and leaves nothing behind.
func openLog() (*os.File, error) {
	log, err := os.CreateTemp("", "amend-log-")
	if err != nil {
		return nil, fmt.Errorf("make a log file: %w", err)
	}
	if err := os.Remove(log.Name()); err != nil {
		return nil, fmt.Errorf("unlink the log file: %w", err)
	}
	return log, nil
}

// Ready calls probe until it answers without an error. It gives up when ctx
// ends or the program has ended; the error then holds the probe's last error
// and the program's output.
func (p *Process) Ready(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("the program ended (%w):\n%s", p.ended(), p.Log())
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w\n%s", err, p.Log())
		case <-tick.C:
		}
	}
}

// ended is how the program ended, once it has.
func (p *Process) ended() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Log is the last 4 KiB of what the program wrote on stdout and stderr.
func (p *Process) Log() string {
	const most = 4 << 10
	info, err := p.log.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(0, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(p.log, from, most))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// Stop stops the program, waits until it has ended, and removes its folder.
// Tests that share a program never call it: the end of the process does.
func (p *Process) Stop() error {
	if err := p.alive.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close the pipe: %w", err)
	}
	<-p.done
	return nil
}
