package testbrowser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"amend/internal/testproc"
)

// startLimit is how long Chromium may take until it takes connections. A cold
// start on a busy machine takes seconds.
const startLimit = 60 * time.Second

// shared starts the process's browser once; its error reaches every test. Its
// value is the address that DevTools listens on.
var shared = sync.OnceValues(func() (string, error) { return startBrowser(names) })

// names are the browsers that serve, best first.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// flags make a browser that is the same everywhere and talks to nobody but
// this machine.
var flags = []string{
	"--headless",
	"--no-sandbox", // Chromium's sandbox refuses to run as root
	"--disable-gpu",
	"--disable-dev-shm-usage", // 64 MB in containers
	"--disable-quic",
	"--no-first-run",
	"--no-default-browser-check",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-default-apps",
	"--disable-extensions",
	"--disable-sync",
	"--disable-features=Translate,OptimizationHints,MediaRouter",
	"--no-proxy-server",
	"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
	"--force-color-profile=srgb",
	"--hide-scrollbars",
	"--remote-debugging-port=0", // a free one, written to a file
}

func startBrowser(names []string) (string, error) {
	program, err := findBrowser(names)
	if err != nil {
		return "", err
	}
	process, err := testproc.Start(testproc.Program{
		Name: "amend-browser",
		Command: func(dir string) []string {
			line := append([]string{program}, flags...)
			return append(line, "--user-data-dir="+profile(dir), "about:blank")
		},
		Env:    []string{"LANGUAGE=en", "LC_ALL=C.UTF-8", "TZ=UTC", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME="},
		Signal: "TERM",
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var address string
	if err := process.Ready(ctx, func(context.Context) error {
		address, err = readAddress(process.Dir)
		return err
	}); err != nil {
		return "", fmt.Errorf("start %s: %w", program, err)
	}
	return address, nil
}

func findBrowser(names []string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is in PATH; install one with: apt-get install chromium", strings.Join(names, ", "))
}

func profile(dir string) string {
	return filepath.Join(dir, "profile")
}

// readAddress reads where DevTools listens: Chromium writes the port and the
// path on two lines once it takes connections.
func readAddress(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(profile(dir), "DevToolsActivePort"))
	if err != nil {
		return "", err
	}
	port, path, found := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if !found {
		return "", errors.New("DevToolsActivePort is half written")
	}
	return "ws://127.0.0.1:" + port + path, nil
}
