package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/mod/sumdb/note"

	"amend"
)

// Checkpoint says how the audit's chain ended at a time. It is signed and kept
// outside of the store, so that who can change the store can't change it.
type Checkpoint struct {
	Installation string
	Links        int64
	Head         string // the hash of the last link
	At           time.Time
}

// checkpointStart begins every checkpoint. It can't stand inside of one.
const checkpointStart = "amend audit "

// text is what is signed. Stored data: it never changes.
func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s%s\n%d\n%s\n%s\n", checkpointStart, c.Installation, c.Links, c.Head, c.At.UTC().Format(time.RFC3339))
}

// parseCheckpoint reads a note that one of the verifiers has signed.
func parseCheckpoint(signed []byte, known note.Verifiers) (Checkpoint, error) {
	var c Checkpoint
	opened, err := note.Open(signed, known)
	if err != nil {
		return c, err
	}
	lines := strings.Split(strings.TrimPrefix(opened.Text, checkpointStart), "\n")
	if len(lines) != 5 {
		return c, errors.New("it has not the lines of a checkpoint")
	}
	return parseLines(lines)
}

// parseLines reads what checkpoints and cuts have in common.
func parseLines(lines []string) (c Checkpoint, err error) {
	c.Installation, c.Head = lines[0], lines[2]
	if c.Links, err = strconv.ParseInt(lines[1], 10, 64); err == nil {
		c.At, err = time.Parse(time.RFC3339, lines[3])
	}
	return c, err
}

// notary signs checkpoints and cuts, and keeps them in a folder: checkpoints
// holds them one after another as they were signed; newest is the last that was
// signed; cuts says what may have been cut off the chain's beginning; key is the
// private key, made there at the first time, and key.pub the public one, which is
// all that a verifier needs.
type notary struct{ folder string }

func (n *notary) path(name string) string { return filepath.Join(n.folder, name) }

// append signs a checkpoint and writes it behind the others, to the disk.
func (n *notary) append(c Checkpoint) error {
	return n.sign(c.Installation, c.text(), func(signed []byte) (err error) {
		f, err := os.OpenFile(n.path("checkpoints"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		return appendWhole(f, append(signed, '\n'))
	})
}

// replace signs a checkpoint and writes it as the newest.
func (n *notary) replace(c Checkpoint) error {
	return n.sign(c.Installation, c.text(), func(signed []byte) error { return writeFile(n.path("newest"), string(signed)) })
}

// sign signs a text for an installation, and has one process at a time write
// what was signed.
func (n *notary) sign(installation, text string, write func(signed []byte) error) (err error) {
	if err := os.MkdirAll(n.folder, 0o700); err != nil {
		return err
	}
	turn := flock.New(n.path("lock"), flock.SetPermissions(0o600))
	if err := turn.Lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, turn.Unlock()) }()
	signer, err := n.signer(installation)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	return write(signed)
}

// appendWhole writes all of it or, where the disk is full, nothing.
func appendWhole(f *os.File, text []byte) error {
	before, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Truncate(before.Size()))
	}
	return f.Sync()
}

// signer reads the private key, and makes one where the folder is new. A key
// that is gone isn't replaced: what it has signed could no longer be told from
// what somebody else has.
func (n *notary) signer(name string) (note.Signer, error) {
	keys, err := os.ReadFile(n.path("key"))
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = n.makeKeys(name)
	}
	if err != nil {
		return nil, err
	}
	private, public, _ := strings.Cut(strings.TrimSpace(string(keys)), "\n")
	if _, err := os.Stat(n.path("key.pub")); errors.Is(err, fs.ErrNotExist) {
		if err := writeFile(n.path("key.pub"), public+"\n"); err != nil {
			return nil, err
		}
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", n.path("key"), err)
	}
	return signer, nil
}

func (n *notary) makeKeys(name string) ([]byte, error) {
	for _, other := range []string{"key.pub", "checkpoints", "newest", "cuts"} {
		if _, err := os.Stat(n.path(other)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("%s is gone, and %s isn't", n.path("key"), n.path(other)), Next: "put it back, or move the folder aside"})
		}
	}
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	keys := private + "\n" + public + "\n"
	return []byte(keys), writeFile(n.path("key"), keys)
}

// writeFile makes a file for its owner alone, which is whole whenever the power
// goes.
func writeFile(path, text string) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// verifiers is the public key, as notes want it, and as people compare it.
func (n *notary) verifiers() (note.Verifiers, string, error) {
	public, err := os.ReadFile(n.path("key.pub"))
	if err != nil {
		return nil, "", err
	}
	text := strings.TrimSpace(string(public))
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", n.path("key.pub"), err)
	}
	return note.VerifierList(verifier), text, nil
}

// lastBytes holds the last checkpoint whole, whatever stands before it.
const lastBytes = 4 << 10

// newest reads the checkpoint that was signed last, and the last one that stands
// behind the others; zero where there is none.
func (n *notary) newest() (newest, last Checkpoint, err error) {
	tail, err := n.tail()
	if err != nil {
		return newest, last, err
	}
	if parts := apart(tail); len(parts) > 0 {
		if last, err = n.read(parts[len(parts)-1]); err != nil {
			return newest, last, err
		}
	}
	text, err := os.ReadFile(n.path("newest"))
	if errors.Is(err, fs.ErrNotExist) {
		return last, last, nil
	}
	if err != nil {
		return newest, last, err
	}
	if newest, err = n.read(text); err == nil && newest.Links < last.Links {
		newest = last
	}
	return newest, last, err
}

func (n *notary) read(text []byte) (c Checkpoint, err error) {
	trusted, _, err := n.verifiers()
	if err == nil {
		c, err = parseCheckpoint(text, trusted)
	}
	if err != nil {
		return c, fmt.Errorf("read the last checkpoint in %s: %w", n.folder, err)
	}
	return c, nil
}

// everything is what was ever signed and is kept. The newest stands at the end
// where it wasn't put behind the others, too.
func (n *notary) everything() ([]byte, error) {
	var all []byte
	for _, name := range []string{"checkpoints", "newest"} {
		text, err := os.ReadFile(n.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !bytes.Contains(all, text) {
			all = append(all, text...)
		}
	}
	return all, nil
}

// tail is the end of the file; nothing where there is none.
func (n *notary) tail() (text []byte, err error) {
	f, err := os.Open(n.path("checkpoints"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-lastBytes), lastBytes))
}

// apart takes a file of checkpoints, or of cuts, apart. What isn't one is a part, too.
func apart(text []byte) [][]byte {
	var parts [][]byte
	for i, part := range bytes.Split(text, []byte(checkpointStart)) {
		if part = bytes.TrimRight(part, "\n"); i > 0 {
			part = append(append([]byte(checkpointStart), part...), '\n')
		}
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

// foreign is the error of a folder that another installation writes to.
func foreign(folder string, c Checkpoint) error {
	return &amend.Error{Code: amend.Conflict, Text: fmt.Sprintf("%s holds checkpoints of another store, %s", folder, c.Installation), Next: "give each store a folder of its own: store.audit"}
}
