package faults

import (
	"flag"
	"io"
	"os"
	"runtime"
	"strconv"
	"testing"

	"amend/cmd"
)

const (
	// workerVariable makes this test binary play amend.
	workerVariable = "AMEND_FAULTS_WORKER"
	// soakVariable asks for as many faults as the goal figures do.
	soakVariable = "AMEND_SOAK"
)

// TestMain lets tests run amend as a process of its own. Such a process holds a
// pipe from its test, and ends when the test process is gone, however it went.
func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) == "" {
		setParallel()
		os.Exit(m.Run())
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	os.Exit(cmd.Main(os.Args[1:]))
}

// setParallel runs more tests at a time than there are processors, unless a flag
// says how many: mostly they wait for leases to end.
func setParallel() {
	const atOnce = 4
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given && runtime.GOMAXPROCS(0) < atOnce {
		flag.Set("test.parallel", strconv.Itoa(atOnce))
	}
}

// soak reports whether faults are taken as often as the goal figures ask for.
func soak() bool { return os.Getenv(soakVariable) != "" }

// times is how often a fault is taken: in a normal run, and in a soak.
func times(normal, soaking int) int {
	if soak() {
		return soaking
	}
	return normal
}
