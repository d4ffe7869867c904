package testproc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childVariable makes this test binary play the test process that dies.
const childVariable = "TESTPROC_CHILD"

// sleeper writes its process id into its folder and waits.
func sleeper() Program {
	return shell(`echo $$ >pid; exec sleep 600`)
}

func shell(script string) Program {
	return Program{
		Name:    "amend-testproc",
		Signal:  "TERM",
		Command: func(string) []string { return []string{"sh", "-c", script} },
	}
}

// hasPid succeeds once the sleeper has written its process id.
func hasPid(dir string) func(context.Context) error {
	return func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil && len(text) == 0 {
			return errors.New("empty")
		}
		return err
	}
}

func readPid(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}

// running tells whether the process exists. A zombie counts as gone: in a
// container nobody may reap what has lost its parent.
func running(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || !strings.Contains(string(status), ") Z ")
}

func TestStop(t *testing.T) {
	t.Parallel()

	t.Run("EndsTheProgramAndRemovesItsFolder", func(t *testing.T) {
		t.Parallel()
		process, err := Start(sleeper())
		require.NoError(t, err)
		require.NoError(t, process.Ready(t.Context(), hasPid(process.Dir)))
		pid := readPid(t, process.Dir)
		require.True(t, running(pid))

		require.NoError(t, process.Stop())

		require.False(t, running(pid))
		require.NoDirExists(t, process.Dir)
		require.NoError(t, process.Stop(), "a second stop is harmless")
	})

	t.Run("KillsAProgramThatIgnoresTheSignal", func(t *testing.T) {
		t.Parallel()
		process, err := Start(shell(`trap "" TERM; echo $$ >pid; while :; do sleep 1; done`))
		require.NoError(t, err)
		require.NoError(t, process.Ready(t.Context(), hasPid(process.Dir)))
		pid := readPid(t, process.Dir)

		require.NoError(t, process.Stop())

		require.False(t, running(pid))
		require.NoDirExists(t, process.Dir)
	})
}

func TestReady(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error { return errors.New("nobody answers") }

	t.Run("TellsWhyTheProgramEnded", func(t *testing.T) {
		t.Parallel()
		process, err := Start(shell(`echo "no room left" >&2; exit 7`))
		require.NoError(t, err)

		err = process.Ready(t.Context(), never)

		require.ErrorContains(t, err, "exit status 7")
		require.ErrorContains(t, err, "no room left")
		require.NoDirExists(t, process.Dir)
	})

	t.Run("GivesUpInTime", func(t *testing.T) {
		t.Parallel()
		process, err := Start(sleeper())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()

		err = process.Ready(ctx, never)

		require.ErrorContains(t, err, "nobody answers")
		require.NoError(t, process.Stop())
	})
}

// TestKilledTestProcess kills a test process, as a time limit or the kernel
// does, and looks at what it leaves behind.
func TestKilledTestProcess(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		playChild(t)
	}
	t.Parallel()
	note := filepath.Join(t.TempDir(), "dir")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledTestProcess$")
	child.Env = append(os.Environ(), childVariable+"="+note)
	require.NoError(t, child.Start())
	var dir string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(note)
		dir = string(text)
		return err == nil && dir != ""
	}, 10*time.Second, pause)
	pid := readPid(t, dir)

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())

	require.Eventually(t, func() bool { return !running(pid) }, 10*time.Second, pause)
	require.Eventually(t, func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	}, 10*time.Second, pause)
}

// playChild starts a program, notes its folder, and waits to be killed.
func playChild(t *testing.T) {
	process, err := Start(sleeper())
	require.NoError(t, err)
	require.NoError(t, process.Ready(t.Context(), hasPid(process.Dir)))
	note := os.Getenv(childVariable)
	require.NoError(t, os.WriteFile(note+".new", []byte(process.Dir), 0o600))
	require.NoError(t, os.Rename(note+".new", note))
	select {}
}
