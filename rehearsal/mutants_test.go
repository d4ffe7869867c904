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
	file  string   // from the module's root
	edits []string // what stands there and what instead, in turn
	// by are the tests that notice it where a rehearsal can't: the package and
	// their names.
	by [2]string
}

// mutants are mistakes that must not go unnoticed: each breaks one promise.
var mutants = map[string]mutant{
	"FreshKeyPerAttempt": {file: "reconciler/act.go", edits: []string{
		"	if !known {\n", "	if true {\n",
		"key := h.Store.Key(h.repair.ID, number)", "key := h.Store.Key(fmt.Sprint(h.repair.ID, h.Now()), number)"}},
	"NoIntent": {file: "store/repairs.go", edits: []string{
		"func (u *Update) Intent(r Repair, p Step) error {\n", "func (u *Update) Intent(r Repair, p Step) error {\n	if p.Repair != \"\" {\n		return u.auditSent(r, p)\n	}\n"}},
	"NoAudit": {file: "store/repairs.go", edits: []string{"	return u.auditSent(r, p)\n", "	return nil\n"}},
	"NoLease": {file: "store/update.go", edits: []string{"and lease_until <= $2 returning", "and (lease_until <= $2 or 1 = 1) returning"}},
	"NoFence": {file: "store/update.go", edits: []string{
		"where id = $1 and fence = $2 and ended_at = 0`+s.locked()", "where id = $1 and (fence = $2 or 1 = 1) and ended_at = 0`+s.locked()",
		"where id = $1 and fence = $2 and ended_at = 0 and lease_until >= $3", "where id = $1 and (fence = $2 or lease_until <> 1) and ended_at = 0 and $3 > 0",
		"errors.Is(err, sql.ErrNoRows) || err == nil && s.now().After(c.leaseTo) {", "errors.Is(err, sql.ErrNoRows) {"},
		by: [2]string{"./reconciler", "I11"}},
	"FailingReadAsAbsent": {file: "connectors/http/rules.go", edits: []string{
		"	mute := muteStatus(a)\n", "	if a.status == http.StatusServiceUnavailable {\n		return amend.Absent, nil\n	}\n	mute := muteStatus(a)\n"}},
	"UnseenIsFalse": {file: "states/states.go", edits: []string{
		"			return Verdict{Name: Unseen, Needs: got.Needs}\n", "			continue\n"}},
	"VerifySkipped": {file: "reconciler/settle.go", edits: []string{
		"	shown := planned.Proved(h.look.View, h.Schema)\n	switch {\n", "	shown := planned.Proved(h.look.View, h.Schema)\n	switch {\n	case step.Sent > 0:\n		return conditions.True\n",
		"	if rule != nil && slices.Contains(rule.From, h.look.Verdict.Name) && h.samePlan(rule) {", "	if rule == nil && h.samePlan(rule) {"}},
	"ReadFromCache": {file: "reconciler/engine.go", edits: []string{
		"func (e *Engine) Look(", "var views sync.Map\n\nfunc (e *Engine) Look(",
		"	scope := e.Environment.Scope(&view, e.Now())\n", `	if old, known := views.Load(customer); known && e.Now().Sub(old.(amend.View).Records[0].ReadAt) < 5*time.Second {
		view = old.(amend.View)
	}
	views.Store(customer, view)
	scope := e.Environment.Scope(&view, e.Now())
`}},
	"LimitsInMemory": {file: "store/load.go", edits: []string{"		f.Begun += f.Proved\n", "		f.Begun, f.Failed, f.Open, f.LastHour = 0, false, 0, 0\n"}},
	"VolatilePause": {file: "store/scans.go", edits: []string{
		"		now, ahead := micros(s.now()), micros(s.now().Add(clockJump))\n", `		now, ahead := micros(s.now()), micros(s.now().Add(clockJump))
		if err := tx.Later("update pauses set ended_at = 1 where ended_at = 0"); err != nil {
			return err
		}
`}},
	"PauseIgnored": {file: "rules/guards.go", edits: []string{`	if f.Paused == "" {`, `	if f.Paused == "" || f.View != nil {`}},
	"RedirectsFollowed": {file: "connectors/http/send.go", edits: []string{
		"	resp, err := c.client.sender(req).RoundTrip(req)\n", "	resp, err := (&http.Client{Transport: c.client.sender(req)}).Do(req)\n",
		"		req.Body, req.ContentLength = oneShot{bytes.NewReader(stored.Body)}, int64(len(stored.Body))\n", `		req.Body, req.ContentLength = oneShot{bytes.NewReader(stored.Body)}, int64(len(stored.Body))
		req.GetBody = func() (io.ReadCloser, error) { return oneShot{bytes.NewReader(stored.Body)}, nil }
`}},
	"PostedWithoutLooking": {file: "escalation/outbox.go", edits: []string{"can && l.Attempts > 0 {", "can && l.Attempts > 1000 {"}},
	"LetterLost":           {file: "escalation/outbox.go", edits: []string{"		return t.failed(ctx, l, err)\n", "		return t.Store.Posted(ctx, l, receipt.Channel, receipt.Message)\n"}},
	"AskedForSomethingElse": {file: "reconciler/asked.go", edits: []string{
		"	case !slices.Contains(rule.From, look.Verdict.Name):\n", "	case rule.From == nil:\n",
		"	if rules.StartFingerprint(look, rule, plan, newest) != q.Fingerprint {", "	if q.Fingerprint == \"\" {"},
		by: [2]string{"./reconciler", "^TestStart$"}},
	"NeverIsRepeated": {file: "reconciler/settle.go", edits: []string{"	if operation.Repeat.How == amend.RepeatNever ||", "	if operation.Repeat.How == amend.RepeatNever && step.Sent > 3 ||"},
		by: [2]string{"./reconciler", "I8"}},
	"StalePlan": {file: "reconciler/settle.go", edits: []string{"	moved := h.look.Verdict.Name != h.repair.State\n	if !moved && (rule == nil", "	moved := false\n	if !moved && (rule == nil"},
		by: [2]string{"./reconciler", "Moved"}},
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
	changed := string(text)
	for i := 0; i < len(m.edits); i += 2 {
		require.Equal(t, 1, strings.Count(changed, m.edits[i]), "%s has changed: the mutant is of another version", m.file)
		changed = strings.Replace(changed, m.edits[i], m.edits[i+1], 1)
	}
	return changed
}

// TestMutants builds the engine with mistakes in it, and sees each of them
// noticed: from three different seeds on, or by the engine's own tests where a
// rehearsal can't. The checker is checked. Without a soak
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
				m.requireNoticed(t, overlay, from)
			}
		})
	}
}

func (m mutant) requireNoticed(t *testing.T, overlay string, from int) {
	t.Helper()
	where, which, why := ".", "^TestSeeds$", "a promise is broken"
	if m.by[0] != "" {
		where, which, why = "."+m.by[0], m.by[1], "--- FAIL"
	}
	c := exec.CommandContext(t.Context(), "go", "test", "-overlay="+overlay, "-run="+which, "-count=1", where)
	c.Env = append(os.Environ(), "AMEND_SOAK=", fmt.Sprint("AMEND_FROM=", from))
	out, err := c.CombinedOutput()
	require.Error(t, err, "nobody noticed, from seed %d on", from)
	require.Contains(t, string(out), why, "%s", out)
}
