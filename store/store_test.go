package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"amend"
	"amend/store"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	on := onSQLite
	t.Run("MakesAFileForItsOwnerAlone", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		info, err := os.Stat(f.path())
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	})
	t.Run("AgainIsTheSameInstallation", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		key := f.Key("rep_1", 0)
		require.NotEqual(t, key, f.Key("rep_1", 1))
		require.NotEqual(t, key, on.setup(t).Key("rep_1", 0))
		require.NoError(t, f.Close())
		require.Equal(t, key, f.open().Key("rep_1", 0))
	})
	t.Run("UnknownAddress", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"", "sqlite:", "mysql://x", "amend.db"} {
			_, err := store.Open(t.Context(), address, store.Options{})
			require.Equal(t, amend.Invalid, amend.CodeOf(err), address)
		}
	})
	t.Run("NoFolder", func(t *testing.T) {
		t.Parallel()
		_, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "none", "amend.db"), store.Options{})
		require.ErrorContains(t, err, "the store can't be opened")
	})
	t.Run("NewerSchema", func(t *testing.T) {
		t.Parallel()
		f := on.setup(t)
		require.NoError(t, f.Close())
		_, err := f.raw().Exec("insert into goose_db_version (version_id, is_applied) values (99999, 1)")
		require.NoError(t, err)
		_, err = store.Open(t.Context(), "sqlite:"+f.path(), store.Options{})
		require.ErrorContains(t, err, "schema 99999")
		require.Equal(t, amend.Conflict, amend.CodeOf(err))
	})
	t.Run("NoStoreAtAll", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "notes.txt")
		text := strings.Repeat("these are notes and no database. ", 100)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		require.ErrorContains(t, err, "the store can't be read")
		require.Equal(t, amend.Unavailable, amend.CodeOf(err))
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(kept), "what isn't ours isn't touched")
	})
}

func TestOneWorker(t *testing.T) {
	t.Parallel()
	on := onSQLite
	f := on.setup(t)
	require.NoError(t, f.LockWorker())
	second := f.open() // other commands work beside it
	err := second.LockWorker()
	require.Equal(t, amend.Conflict, amend.CodeOf(err))
	require.ErrorContains(t, err, f.path())
	require.NoError(t, f.Close())
	require.NoError(t, second.LockWorker())
}

// TestGroupCommit holds the writer up, so that jobs that come meanwhile share
// one commit.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	on := onSQLite
	f := on.setup(t)
	held, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		assert.NoError(t, f.Write(t.Context(), func(*store.Tx) error { close(held); <-release; return nil }))
	})
	<-held
	insert := func(id string, after error) error {
		return f.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec("insert into installation (id, created_at) values ($1, 0)", id); err != nil {
				return err
			}
			if id == "panics" {
				panic("a bug")
			}
			return after
		})
	}
	for i := range 50 {
		group.Go(func() { assert.NoError(t, insert(fmt.Sprint("good", i), nil)) })
	}
	wrong := errors.New("no good")
	group.Go(func() { assert.ErrorIs(t, insert("fails", wrong), wrong) })
	group.Go(func() { assert.ErrorContains(t, insert("panics", nil), "a bug") })
	group.Go(func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, f.Write(ctx, func(*store.Tx) error { return errors.New("it ran") }), context.Canceled)
	})
	close(release)
	group.Wait()
	var n int
	require.NoError(t, f.raw().QueryRow("select count(*) from installation where id like 'good%'").Scan(&n))
	require.Equal(t, 50, n)
	require.NoError(t, f.raw().QueryRow("select count(*) from installation where id in ('fails', 'panics')").Scan(&n))
	require.Zero(t, n)
}

// TestFullDisk: what can't be written fails, changes nothing, and harms nobody
// who comes later.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	on := onSQLite
	f := on.setup(t)
	lease := f.claim("cus_000001")
	require.NoError(t, f.Pragma(t.Context(), "pragma max_page_count = 1")) // it stays as large as it is
	full := 0
	for i := range 200 {
		err := f.Update(t.Context(), lease, func(u *store.Update) error {
			u.Why = fmt.Sprint("try ", i)
			repair, err := u.AddRepair(store.Repair{Rule: "r", Status: store.RepairOpen, Plan: []byte(`"` + strings.Repeat("x", 5000) + `"`)})
			if err != nil {
				return err
			}
			return u.Intent(repair, store.Step{Repair: repair.ID, Request: []byte("{}")})
		})
		if err != nil {
			full++
		}
	}
	require.Equal(t, 200, full, "an intent that isn't written is an error: nothing is sent")
	repairs, err := f.Repairs(t.Context(), lease.CaseID)
	require.NoError(t, err)
	require.Empty(t, repairs)
	c, _, err := f.OpenCase(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.NotContains(t, c.Why, "try")

	require.NoError(t, f.Pragma(t.Context(), "pragma max_page_count = 1000000"))
	require.NoError(t, f.Update(t.Context(), lease, func(u *store.Update) error { u.Why = "there is room again"; return nil }))
	var result string
	require.NoError(t, f.raw().QueryRow("pragma integrity_check").Scan(&result))
	require.Equal(t, "ok", result)
}

// TestFullDiskInAGroup: jobs behind the one that broke the transaction are not
// committed behind their callers' backs.
func TestFullDiskInAGroup(t *testing.T) {
	t.Parallel()
	on := onSQLite
	f := on.setup(t)
	require.NoError(t, f.Pragma(t.Context(), "pragma max_page_count = 1"))
	held, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = f.Write(t.Context(), func(*store.Tx) error { close(held); <-release; return nil })
	})
	<-held
	var mu sync.Mutex
	said := map[string]error{}
	for i := range 60 {
		group.Go(func() {
			id := fmt.Sprintf("job%02d", i)
			size := 10
			if i%3 == 0 {
				size = 20_000 // doesn't fit
			}
			err := f.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec("insert into installation (id, created_at) values ($1, 0)", id+strings.Repeat("x", size))
				return err
			})
			mu.Lock()
			said[id] = err
			mu.Unlock()
		})
	}
	close(release)
	group.Wait()
	require.NoError(t, f.Pragma(t.Context(), "pragma max_page_count = 1000000"))
	for id, err := range said {
		var n int
		require.NoError(t, f.raw().QueryRow("select count(*) from installation where id like $1", id+"x%").Scan(&n))
		require.Equal(t, err == nil, n == 1, "%s: %v", id, err)
	}
	require.NoError(t, f.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("insert into installation (id, created_at) values ('after', 0)")
		return err
	}))
}

// TestReadersDuringWrites: nobody waits for the writer, and nobody sees half.
func TestReadersDuringWrites(t *testing.T) { onEach(t, testReadersDuringWrites) }

func testReadersDuringWrites(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	lease := f.claim("cus_000001")
	err := f.Update(t.Context(), lease, func(u *store.Update) error {
		u.Why = "half"
		u.Note("kind", "ada", "half")
		c, _, err := f.OpenCase(t.Context(), "cus_000001")
		require.NoError(t, err)
		require.NotEqual(t, "half", c.Why)
		return nil
	})
	require.NoError(t, err)
	c, _, err := f.OpenCase(t.Context(), "cus_000001")
	require.NoError(t, err)
	require.Equal(t, "half", c.Why)
}

// TestCloseWhileWriting: whoever was told yes finds their write, and whoever
// came too late is told so.
func TestCloseWhileWriting(t *testing.T) { onEach(t, testCloseWhileWriting) }

func testCloseWhileWriting(t *testing.T, on engine) {
	t.Parallel()
	f := on.setup(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	var kept []string
	for worker := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("w%d-%d", worker, i)
				if _, err := f.Ask(t.Context(), store.Request{ID: id, Customer: "cus_000001", Kind: store.AskLook}); err != nil {
					return
				}
				mu.Lock()
				kept = append(kept, id)
				mu.Unlock()
			}
		})
	}
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(kept) > 40 }, 20*time.Second, time.Millisecond)
	require.NoError(t, f.Close())
	group.Wait()
	again := f.open()
	for _, id := range kept {
		_, found, err := again.Asked(t.Context(), id)
		require.NoError(t, err)
		require.True(t, found, id)
	}
}
