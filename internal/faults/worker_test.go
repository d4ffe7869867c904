package faults

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// worker is one `amend run`, a process of its own.
type worker struct {
	w     *world
	name  string
	log   string // the file that holds what it says
	cmd   *exec.Cmd
	alive io.Closer // its pipe from this process; see TestMain
	done  chan struct{}
	err   error // how it ended, once it has
	over  bool  // the test has ended it
}

// start begins a worker. It doesn't wait until it works.
func (w *world) start() *worker {
	w.Helper()
	return w.startOn(w.store, w.config)
}

// startOn begins a worker on another way to the store, or another folder of
// configuration.
func (w *world) startOn(store, config string) *worker {
	w.Helper()
	self, err := os.Executable()
	require.NoError(w, err)
	return w.launch(launch{program: self, store: store, config: config})
}

// launch says how a worker is started.
type launch struct {
	program string // this test binary, as it is or built in another way
	store   string // store.url
	config  string // the folder of the configuration
	env     string // one more variable; "" for none
}

func (w *world) launch(l launch) *worker {
	w.Helper()
	p := &worker{w: w, name: fmt.Sprintf("worker-%d", len(w.workers)+1), done: make(chan struct{})}
	p.log = filepath.Join(w.home, p.name+".log")
	log, err := os.Create(p.log)
	require.NoError(w, err)
	defer log.Close()
	p.cmd = exec.Command(l.program, "run", "--config", l.config, "--allow-loopback")
	p.cmd.Dir = w.home
	p.cmd.Env = append(append(os.Environ(), workerVariable+"=1", "AMEND_STORE="+l.store), w.env...)
	if l.env != "" {
		p.cmd.Env = append(p.cmd.Env, l.env)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.alive, err = p.cmd.StdinPipe()
	require.NoError(w, err)
	require.NoError(w, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	w.workers = append(w.workers, p)
	return p
}

// ready waits until the worker has its dashboard open, which is the last thing
// before it works.
func (p *worker) ready() *worker {
	p.w.Helper()
	p.w.await(startLimit, p.name+" is ready", func() bool { return strings.Contains(p.said(), "Dashboard:") })
	return p
}

// kill ends the worker without giving it a chance to do anything.
func (p *worker) kill() {
	p.w.Helper()
	p.over = true
	p.w.kills++
	require.NoError(p.w, p.cmd.Process.Kill())
	<-p.done
}

// stop makes the worker stand still, as a virtual machine does that is moved.
func (p *worker) stop() {
	p.w.Helper()
	require.NoError(p.w, p.cmd.Process.Signal(syscall.SIGSTOP))
}

// goOn ends stop.
func (p *worker) goOn() {
	p.w.Helper()
	require.NoError(p.w, p.cmd.Process.Signal(syscall.SIGCONT))
}

// terminate asks the worker to end, and returns how long that took. A worker
// that doesn't end in order, and in time, fails the test.
func (p *worker) terminate() time.Duration {
	p.w.Helper()
	p.over = true
	asked := time.Now()
	require.NoError(p.w, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(endLimit):
		require.FailNow(p.w, "the worker doesn't end", "%s\n%s", p.name, p.tail())
	}
	require.NoError(p.w, p.err, "%s\n%s", p.name, p.tail())
	return time.Since(asked)
}

// ended reports whether the worker is gone without being told to.
func (p *worker) ended() bool {
	if p.over {
		return false
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end is for the test's own end.
func (p *worker) end() error {
	p.over = true
	p.cmd.Process.Kill() // it may be gone
	<-p.done
	if err := p.alive.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// said is all that the worker has said so far.
func (p *worker) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail is the end of it.
func (p *worker) tail() string {
	const most = 4 << 10
	text := p.said()
	return text[max(0, len(text)-most):]
}

// complaints are what no worker must ever say, whatever is done to it.
var complaints = []string{"DATA RACE", "panic", "fatal error:"}

// complaint is the first line of the worker's log that is a complaint.
func (p *worker) complaint() string {
	for line := range strings.Lines(p.said()) {
		for _, c := range complaints {
			if strings.Contains(line, c) {
				return p.name + ": " + line
			}
		}
	}
	return ""
}

// startLeader begins a worker on PostgreSQL and waits until it is the one that
// ticks. It is the only one then.
func (w *world) startLeader() *worker {
	w.Helper()
	p := w.start().ready()
	w.await(startLimit, p.name+" leads", func() bool { return w.leader() != "" })
	return p
}

// leader is whom River has elected; "" where it is nobody, or nobody any more.
func (w *world) leader() string {
	w.Helper()
	var id string
	err := w.db.QueryRow(`select leader_id from river_leader where expires_at > now()`).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(w, err)
	}
	return id
}

// fetched counts the cases that workers who don't lead have been woken for since
// a time.
func (w *world) fetched(since time.Time) int {
	w.Helper()
	var n int
	err := w.db.QueryRow(`select count(*) from river_job where queue = 'heal' and attempted_at > $1
		and not attempted_by && array(select leader_id from river_leader)`, since).Scan(&n)
	require.NoError(w, err)
	return n
}
