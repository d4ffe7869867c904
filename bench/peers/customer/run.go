package customer

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Lanes is how many customers are worked on at once.
const Lanes = 32

// Work is what a peer is told to do, and what it has found.
type Work struct {
	Bank     *Bank
	Way      string
	Postgres string // address

	mu     sync.Mutex
	states map[string]int
	cpu    time.Duration
	begun  time.Time
}

// Main runs a peer: prepare makes ready, which isn't measured, and gives what
// is.
func Main(prepare func(context.Context, *Work) (func(context.Context) error, error)) {
	if err := run(prepare); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(prepare func(context.Context, *Work) (func(context.Context) error, error)) error {
	w := &Work{states: map[string]int{}}
	var at struct {
		Services [services]string `json:"services"`
	}
	text := flag.String("at", "", "where the services are, as JSON")
	flag.StringVar(&w.Way, "way", "", "which of the peer's ways")
	flag.StringVar(&w.Postgres, "postgres", "", "the address of a database")
	flag.Int("repairs", 0, "how many customers are inconsistent; the peers find out")
	flag.Parse()
	if err := json.Unmarshal([]byte(*text), &at); err != nil {
		return fmt.Errorf("-at: %w", err)
	}
	w.Bank = &Bank{addresses: at.Services, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: Lanes}}}
	ctx := context.Background()
	work, err := prepare(ctx, w)
	if err != nil {
		return err
	}
	w.cpu, w.begun = used(), time.Now()
	if err := work(ctx); err != nil {
		return err
	}
	return w.report()
}

// Found counts a customer by the state that they were found in.
func (w *Work) Found(state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[state]++
}

func (w *Work) report() error {
	type measured struct {
		CPU  time.Duration `json:"cpu"`
		Wall time.Duration `json:"wall"`
		Peak int64         `json:"peak"`
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(struct {
		States map[string]int `json:"states"`
		Used   measured       `json:"used"`
	}{w.states, measured{used() - w.cpu, time.Since(w.begun), peak()}})
}

// used is the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can't fail for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that this process had at once.
func peak() (bytes int64) {
	text, err := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	if _, scan := fmt.Sscan(rest, &bytes); err != nil || scan != nil {
		return 0
	}
	return bytes << 10
}
