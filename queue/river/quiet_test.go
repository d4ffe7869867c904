package river

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newQuiet(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		said := func() int { defer out.Reset(); return strings.Count(out.String(), "\n") }

		log.Debug("step")
		log.Info("step")
		require.Zero(t, said(), "less than a warning")

		log.Warn("away", "attempt", 1)
		log.Error("cut")
		require.Equal(t, 2, said())

		time.Sleep(59 * time.Second)
		log.Warn("away", "attempt", 2)
		log.With("queue", "heal").Error("cut")
		log.WithGroup("queue").Error("cut")
		require.Zero(t, said(), "repeated")

		time.Sleep(time.Second)
		log.Warn("away", "attempt", 3)
		log.Warn("away", "attempt", 4)
		require.Equal(t, 1, said(), "once a minute")
	})
}
