package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend"
	"amend/bank"
	"amend/config"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	t.Run("OneFile", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		path := filepath.Join(folder, "bank.yaml")
		require.NoError(t, os.WriteFile(path, bank.Configuration, 0o600))
		cfg, err := config.Load(options(path, environment(folder)))
		require.NoError(t, err)
		require.Len(t, cfg.Connectors, 5)
		require.Len(t, cfg.Machine.States, 15)
		require.Len(t, cfg.Rules.Rules, 8)
		require.Equal(t, []int{0, 1, 2}, cfg.Scans.Source)
	})
	t.Run("AFolderIsJoined", func(t *testing.T) {
		t.Parallel()
		text := string(bank.Configuration)
		at := strings.Index(text, "\nrules:")
		cfg, err := loadFiles(t, map[string]string{
			"b.yml": "version: 1\n" + text[at:], "a.yaml": text[:at], "bank_test.yaml": "- not configuration", "notes.txt": "neither",
			"c.yaml": "pause:\n  - {cron: '0 22 * * 5', zone: Europe/Berlin, for: 2h, why: settlement}\n",
		}, nil)
		require.NoError(t, err)
		require.Len(t, cfg.Rules.Rules, 8)
		require.Len(t, cfg.Windows, 1)
	})
	t.Run("NothingThere", func(t *testing.T) {
		t.Parallel()
		_, err := config.Load(options(filepath.Join(t.TempDir(), "amend.yaml"), nil))
		require.ErrorContains(t, err, "there is no configuration at")
		require.Equal(t, amend.NotFound, amend.CodeOf(err))
	})
	t.Run("CanNotBeRead", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(folder, "a.yaml"), 0o700))
		_, err := config.Load(options(folder, nil))
		require.ErrorContains(t, err, "a.yaml: is a directory")
	})
	t.Run("SubstitutedOnce", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		env := environment(folder)
		env["TEXT"] = "${IDENTITY_TOKEN} {identity.email}"
		_, err := loadFiles(t, map[string]string{"bank.yaml": bankWith(t, "about: The monthly plan.", "about: ${TEXT}")}, env)
		require.NoError(t, err)
		cfg, err := loadFiles(t, map[string]string{"bank.yaml": bankWith(t, "about: The monthly plan.", "about: ${TEXT} ${EMPTY:-x}")}, env)
		require.NoError(t, err)
		require.Equal(t, "${IDENTITY_TOKEN} {identity.email} x", cfg.Schema.Services[3].About)
	})
	t.Run("SecretsFromFiles", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		path := filepath.Join(folder, "token")
		require.NoError(t, os.WriteFile(path, []byte("s3cret\n"), 0o600))
		cfg := mustBank(t, "entity: {", "slack: {token: \"${file:"+path+"}\", channel: x}\nentity: {")
		require.Equal(t, "s3cret", cfg.Slack.Token.Reveal())
	})
	t.Run("ATokenToObserveWith", func(t *testing.T) {
		t.Parallel()
		token := strings.Repeat("5e5a3e", 6)
		cfg := mustBank(t, "scans:\n", "scans:\n  observe: {token: "+token+"}\n")
		require.Equal(t, token, cfg.Scans.Observe.Reveal())
		require.True(t, mustBank(t).Scans.Observe.Empty(), "nobody has one by default")
	})
	t.Run("AnIDIsMatchedAsAWhole", func(t *testing.T) {
		t.Parallel()
		entity := mustBank(t, "'^cus_[0-9]{6,}$'", "'cus_[0-9]{6,}|x'").Schema.Entity
		for id, valid := range map[string]bool{"cus_000001": true, "x": true, "cus_000001/../admin": false, "xx": false, "cus_000001\n": false, "": false} {
			require.Equal(t, valid, entity.Valid(id), "%q", id)
		}
		_, err := loadBank(t, "'^cus_[0-9]{6,}$'", "'a)|(?:b'")
		require.ErrorContains(t, err, "not a regular expression", "a pattern can't break out of its group")
	})
}

// TestSize (S50): hostile files are refused at once. What they may take is
// counted in memory, which is the same on every machine: the parser takes its
// time allocating, 100 ms are about 100 MiB.
func TestSize(t *testing.T) {
	for name, text := range map[string]string{
		"10 MiB":           "version: 1\na: \"" + strings.Repeat("x", 10<<20) + "\"\n",
		"nested lists":     strings.Repeat("[", 500_000),
		"nested maps":      strings.Repeat("{a: ", 100_000),
		"nested blocks":    nested(400),
		"a list of lists":  strings.Repeat("- ", 100_000) + "x",
		"keys of keys":     strings.Repeat("? ", 100_000) + "x",
		"colons":           strings.Repeat("a: ", 100_000) + "x",
		"anchors":          strings.Repeat("&a ", 100_000) + "x",
		"quotes":           strings.Repeat("'", 500_000),
		"the most keys":    strings.Repeat("a: 1\n", 9_999),
		"many keys":        strings.Repeat("a: 1\n", 100_000),
		"different keys":   numbered(9_000, "k%d: 1\n"),
		"keys of one line": "{" + numbered(9_000, "k%d: 1, ") + "}",
		"keys in a list":   "a:\n" + numbered(4_900, "  - b: 1\n    c%d: 2\n"),
		"deep, later":      "a: [" + strings.Repeat("1, ", 30_000) + strings.Repeat("[", 500_000),
		"tags":             "a: [" + strings.Repeat("!!str x, ", 50_000) + "]",
		"aliases":          "a: [" + strings.Repeat("*x, ", 100_000) + "]",
		"an alias bomb":    bomb(),
		"many references":  "version: 1\nentity: {name: '" + strings.Repeat("${A:-", 50_000) + "'}",
		"a long condition": "version: 1\nentity: {name: '" + strings.Repeat("a && ", 50_000) + "'}",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := loadFiles(t, map[string]string{"a.yaml": text}, nil)
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			taken := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%s, %d MiB", time.Since(start), taken)
			require.Less(t, taken, uint64(64), "MiB")
			require.Less(t, len(err.Error()), 64<<10, "what is said can be read")
		})
	}
}

// What is only large is read.
func TestLargeIsNotTooLarge(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a map":   "states:\n" + numbered(1_900, "  s%d: {}\n"),
		"maps":    "states:\n" + numbered(1_900, "  s%d:\n    about: x\n    for: 2h\n"),
		"a list":  "pause:\n" + numbered(5_000, "  - why: x%d\n"),
		"remarks": numbered(5_000, "# remark %d\n"),
		"a flow":  "pause: [\n" + numbered(5_000, "  {why: x%d},\n") + "]\n",
		"a text":  "entity:\n  about: |\n" + numbered(20_000, "    [[[ %d {{{ a: b\n"),
		"a cut":   "entity: {about: \"" + strings.Repeat("[[[[", 20_000) + "\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadFiles(t, map[string]string{"a.yaml": "version: 1\n" + text}, nil)
			require.Error(t, err)
			for _, refusal := range []string{"nested too deeply", "at most", "doesn't fit"} {
				require.NotContains(t, err.Error(), refusal)
			}
		})
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func bomb() string {
	text := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'a'; c < 'z'; c++ {
		text += string(c+1) + ": &" + string(c+1) + " [" + strings.Repeat("*"+string(c)+", ", 9) + "x]\n"
	}
	return "version: 1\n" + text
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	cfg := mustBank(t, `cron: "0 2 * * *"`, `cron: "30 2 * * *"`)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	for name, test := range map[string]struct{ from, want time.Time }{
		"an ordinary day":             {at(3, 1, 0, 0), at(3, 1, 2, 30)},
		"the day before":              {at(3, 27, 2, 30), at(3, 28, 2, 30)},
		"the clocks skip it":          {at(3, 28, 2, 30), at(3, 29, 3, 30)},
		"after the skipped one":       {at(3, 29, 3, 30), at(3, 30, 2, 30)},
		"the clocks double it":        {at(10, 24, 2, 30), time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)},
		"just before the clocks skip": {at(3, 29, 1, 59), at(3, 29, 3, 30)},
	} {
		got := cfg.Scans.Full.Next(test.from)
		require.True(t, got.Equal(test.want), "%s: %s instead of %s", name, got, test.want)
	}
	require.Equal(t, noon.Add(time.Minute), cfg.Scans.Fresh.Next(noon))
	ordinary := mustBank(t, `cron: "0 2 * * *"`, `cron: "0 4 * * *"`)
	require.True(t, ordinary.Scans.Full.Next(at(3, 29, 0, 0)).Equal(at(3, 29, 4, 0)), "a time after the change is that of the clocks")
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
