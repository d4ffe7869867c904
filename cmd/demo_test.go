package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"amend/internal/testpg"
)

// demoLimit is ten times what a demo takes on two idle cores.
const demoLimit = time.Minute

// amendCommand runs the command line in a process of its own: the test binary,
// by another name.
func amendCommand(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Args[0] = "amend"
	return c
}

// TestDemo runs what the README promises.
func TestDemo(t *testing.T) {
	t.Run("Once", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
		defer cancel()
		c := amendCommand(ctx, "demo", "--once", "--customers", "600", "--seed", "7", "--output", "json", "--progress", "none")
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		require.NoError(t, c.Run(), errs.String())
		require.Empty(t, errs.String())
		var r map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &r))
		for _, key := range []string{"customers", "coherent", "inconsistent", "healed", "escalated", "unseen", "repairs_sent", "double_effects", "wrong_sends", "seconds"} {
			require.Contains(t, r, key)
		}
		require.EqualValues(t, 600, r["customers"])
		require.Greater(t, r["inconsistent"], 10.0)
		require.InDelta(t, r["inconsistent"], r["healed"].(float64)+r["escalated"].(float64), 0)
		require.GreaterOrEqual(t, r["repairs_sent"], r["healed"])
		for _, none := range []string{"unseen", "double_effects", "wrong_sends", "second_keys", "out_of_order", "false_healed", "lost"} {
			require.EqualValues(t, 0, r[none], none)
		}
		require.Equal(t, r["escalated"], r["messages"], "one message for each customer with a person")
		require.Len(t, r["planted"], 12, "every state that isn't coherent occurs, and overdue sign-ups")
	})

	t.Run("Live", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
		defer cancel()
		c := amendCommand(ctx, "demo", "--customers", "300", "--progress", "plain")
		said, says, err := os.Pipe()
		require.NoError(t, err)
		c.Stdout, c.Stderr = says, says
		require.NoError(t, c.Start())
		require.NoError(t, says.Close())
		lines := bufio.NewScanner(said)
		login := find(t, lines, `http://\S+/login\?token=\S+`)
		resp, err := http.Get(strings.Split(login, "?")[0])
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		find(t, lines, `healed [1-9]`)
		require.NoError(t, c.Process.Signal(os.Interrupt))
		rest := find(t, lines, `sent \d+: 0 twice, 0 wrongly`)
		require.NotEmpty(t, rest)
		_, err = io.Copy(io.Discard, said)
		require.NoError(t, err)
		require.NoError(t, c.Wait(), "Ctrl-C is how a demo ends")
	})

	t.Run("TooSmall", func(t *testing.T) {
		out, err := amendCommand(t.Context(), "demo", "--customers", "5").CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "has no room for every state")
	})
}

// find reads lines until one matches, and gives the match.
func find(t *testing.T, lines *bufio.Scanner, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for lines.Scan() {
		if found := expression.FindString(lines.Text()); found != "" {
			return found
		}
	}
	t.Fatalf("nothing matched %s", pattern)
	return ""
}

// TestDemoReadsComplianceFromPostgres runs the demo with its one SQL service
// on PostgreSQL.
func TestDemoReadsComplianceFromPostgres(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
	defer cancel()
	out, err := amendCommand(ctx, "demo", "--once", "--customers", "200", "--compliance", testpg.New(t), "--progress", "none").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "0 had a double effect, 0 were wrong")
}
