package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// MasterFile is the name of the master key's file in the data directory.
const MasterFile = "master.key"

// MasterVariable is the environment variable that takes the file's place.
const MasterVariable = "SWAB_MASTER_KEY"

// masterSize is the size of the master key in bytes: an AES-256 key.
const masterSize = 32

// ErrNoMaster says that there is no master key although there are keys that
// only it opens.
var ErrNoMaster = errors.New("there is no master key")

// ErrMaster says that the master key is not the one that sealed the keys.
var ErrMaster = errors.New("the master key is not the one that sealed the server's keys")

// Master seals and opens the private halves of keys. It prints as stars.
type Master struct{ aead cipher.AEAD }

// LoadMaster returns the master key: the base64 of 32 bytes in text (the value
// of SWAB_MASTER_KEY) or, where text is empty, in dir/master.key. Where that
// file is missing it is made with a new key, if create says so; else the error
// is [ErrNoMaster].
func LoadMaster(dir, text string, create bool) (Master, error) {
	if text != "" {
		return parseMaster(text, MasterVariable)
	}
	path := filepath.Join(dir, MasterFile)
	data, err := readPrivate(path)
	switch {
	case err == nil:
		return parseMaster(string(data), path)
	case !errors.Is(err, fs.ErrNotExist):
		return Master{}, fmt.Errorf("master key: %w", err)
	case !create:
		return Master{}, fmt.Errorf("%w: put it back as %s, or set %s", ErrNoMaster, path, MasterVariable)
	}
	key := make([]byte, masterSize)
	rand.Read(key) // never fails (crypto/rand)
	text = base64.StdEncoding.EncodeToString(key)
	if err := writePrivate(path, text+"\n"); err != nil {
		return Master{}, fmt.Errorf("make the master key: %w", err)
	}
	return parseMaster(text, path)
}

// parseMaster reads the base64 of a master key; from names where it stood. The
// error never repeats the text.
func parseMaster(text, from string) (Master, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != masterSize {
		return Master{}, fmt.Errorf("master key in %s is not the base64 of %d bytes", from, masterSize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Master{}, fmt.Errorf("master key in %s: %w", from, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Master{}, fmt.Errorf("master key in %s: %w", from, err)
	}
	return Master{aead}, nil
}

// String keeps the key out of logs and messages.
func (Master) String() string { return "***" }

// GoString is as String, for %#v.
func (Master) GoString() string { return "***" }

func (m Master) seal(p Purpose, id string, private []byte) []byte {
	return m.aead.Seal(nil, nil, private, additional(p, id))
}

func (m Master) open(r Record) ([]byte, error) {
	private, err := m.aead.Open(nil, nil, r.Sealed, additional(r.Purpose, r.ID))
	if err != nil {
		return nil, fmt.Errorf("%w, or the store's record of the %s key %.16s was changed: give the key that was in use when they were made, by %s or %s",
			ErrMaster, r.Purpose, r.ID, MasterFile, MasterVariable)
	}
	return private, nil
}

// additional binds a sealed key to its place.
func additional(p Purpose, id string) []byte {
	return []byte("swab.key/1\n" + string(p) + "\n" + id)
}

// readPrivate reads a small file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// Windows has access lists in place of mode bits; the data directory's protect the file.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	if info.Size() > 1024 {
		return nil, fmt.Errorf("%s has %d bytes, a key has fewer", path, info.Size())
	}
	return os.ReadFile(path)
}

// writePrivate makes a file whole or not at all, durable when it returns.
func writePrivate(path, text string) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces a key that another start has made meanwhile.
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s appeared while it was being made: start one server at a time", path)
		}
		if err := os.Rename(tmp.Name(), path); err != nil { // file systems without hard links
			return err
		}
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // not every system can flush a directory; where it can't, the file is as safe as it can be
		d.Close()
	}
	return nil
}
