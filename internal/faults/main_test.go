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
	// soakVariable asks for a round of a soak, and names the folder of its figures.
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

// rounds is into how many rounds a soak is cut, so that it can go on where it was
// stopped.
const rounds = 10

// times is how often a fault is taken: in a normal run, and in all rounds of a
// soak.
func times(normal, soaking int) int {
	if os.Getenv(soakVariable) == "" {
		return normal
	}
	return max(normal, soaking/rounds)
}
