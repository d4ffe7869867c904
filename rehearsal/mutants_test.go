package rehearsal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutant is one way in which the engine could be wrong.
type mutant struct {
	file     string // from the module's root
	old, new string
}

// mutants are mistakes that must not go unnoticed: each breaks one promise. What
// must never be repeated is not among them: only people may begin that, and
// nobody starts a rule here; internal/faults has it.
var mutants = map[string]mutant{
	"FreshKeyPerAttempt": {"reconciler/act.go", `	if !known {
		planned := h.plan.Steps[number]
		index, _ := h.Schema.Service(planned.Service)
		key := h.Store.Key(h.repair.ID, number)`, `	if true {
		planned := h.plan.Steps[number]
		index, _ := h.Schema.Service(planned.Service)
		key := h.Store.Key(fmt.Sprint(h.repair.ID, h.Now()), number)`},
	"NoIntent": {"store/repairs.go", `func (u *Update) Intent(p Step) error {
`, `func (u *Update) Intent(p Step) error {
	if p.Repair != "" {
		return u.auditSent(p)
	}
`},
	"NoAudit": {"store/repairs.go", `	return u.auditSent(p)
}`, `	return nil
}`},
	"NoLease": {"store/update.go", `where customer = $1 and ended_at = 0 and lease_until <= $2 returning`, `where customer = $1 and ended_at = 0 and (lease_until <= $2 or 1 = 1) returning`},
	"NoFence": {"store/update.go", `where id = $1 and fence = $2 and ended_at = 0` + "`+s.locked(), lease.CaseID, lease.Fence))\n		if errors.Is(err, sql.ErrNoRows) || err == nil && s.now().After(c.leaseTo) {",
		`where id = $1 and (fence = $2 or 1 = 1) and ended_at = 0` + "`+s.locked(), lease.CaseID, lease.Fence))\n		if errors.Is(err, sql.ErrNoRows) {"},
	"FailingReadAsAbsent": {"connectors/http/rules.go", `	mute := muteStatus(a)
`, `	if a.status == http.StatusServiceUnavailable {
		return amend.Absent, nil
	}
	mute := muteStatus(a)
`},
	"VerifySkipped": {"reconciler/settle.go", `	shown := planned.Proved(h.look.View, h.Schema)
	switch {
`, `	shown := planned.Proved(h.look.View, h.Schema)
	switch {
	case step.Sent > 0:
		return conditions.True
`},
	"ReadFromCache": {"reconciler/engine.go", `func (e *Engine) Look(ctx context.Context, customer string) states.Look {
	view := connectors.Read(ctx, e.Connectors, customer, e.Now)
`, `var views sync.Map

func (e *Engine) Look(ctx context.Context, customer string) states.Look {
	view := connectors.Read(ctx, e.Connectors, customer, e.Now)
	if old, known := views.Load(customer); known && e.Now().Sub(old.(amend.View).Records[0].ReadAt) < 5*time.Second {
		view = old.(amend.View)
	}
	views.Store(customer, view)
`},
	"LimitsInMemory": {"store/repairs.go", `	l.Begun += l.Proved
`, `	l.Begun, l.Failed, l.Open, l.LastHour = 0, false, 0, 0
`},
	"VolatilePause": {"store/scans.go", `		now, ahead := micros(s.now()), micros(s.now().Add(clockJump))
`, `		now, ahead := micros(s.now()), micros(s.now().Add(clockJump))
		if err := tx.Later("update pauses set ended_at = 1 where ended_at = 0"); err != nil {
			return err
		}
`},
	"RedirectsFollowed": {"connectors/http/send.go", `	resp, err := c.client.sender(req).RoundTrip(req)
`, `	resp, err := (&http.Client{Transport: c.client.sender(req)}).Do(req)
`},
	"StalePlan": {"reconciler/settle.go", `	moved := h.look.Verdict.Name != h.repair.State
	if !moved && (rule == nil`, `	moved := false
	if !moved && (rule == nil`},
	"NoPauseAsked": {"rules/guards.go", `	if f.Paused == "" {`, `	if f.Paused == "" || f.ByPerson {`},
	"UnseenActs":   {"rules/guards.go", `		if record.Presence == amend.Unseen {`, `		if record.Presence == amend.Unseen && f.Rule == nil {`},
}

// overlay writes the mutant's file and what go build needs to take it instead.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	from, err := filepath.Abs(filepath.Join("..", m.file))
	require.NoError(t, err)
	to, overlay := filepath.Join(folder, "mutant.go"), filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(to, []byte(m.text(t)), 0o600))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{from: to}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, text, 0o600))
	return overlay
}

// text is the mutant's file. The mistake must still be possible to make.
func (m mutant) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", m.file))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), m.old), "%s has changed: the mutant is of another version", m.file)
	return strings.Replace(string(text), m.old, m.new, 1)
}

// TestMutants builds the engine with mistakes in it, and sees each of them
// noticed from three different seeds on: the checker is checked. Without a soak
// (make soak) it only holds that every mistake could still be made.
func TestMutants(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("AMEND_SOAK") == "" {
				m.text(t)
				return
			}
			overlay := m.overlay(t)
			for _, from := range []int{1, 100_001, 200_001} {
				c := exec.CommandContext(t.Context(), "go", "test", "-overlay="+overlay, "-run=^TestSeeds$", "-count=1", ".")
				c.Env = append(os.Environ(), "AMEND_SOAK=", fmt.Sprint("AMEND_FROM=", from))
				out, err := c.CombinedOutput()
				require.Error(t, err, "nobody noticed, from seed %d on", from)
				require.Contains(t, string(out), "a promise is broken", "%s", out)
			}
		})
	}
}
