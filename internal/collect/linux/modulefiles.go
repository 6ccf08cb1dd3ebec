package linux

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"swab/internal/collect"
	"swab/internal/collect/host"
	"swab/internal/parse/kmodule"
	"swab/internal/parse/xz"
	"swab/internal/row"
)

// Bounds of module files.
const (
	maxModuleFile = 512 << 20 // bytes that are hashed
	maxUnpacked   = 512 << 20 // bytes that are hashed of an unpacked one
	maxInMemory   = 16 << 20  // bytes of an unpacked one that are looked into
	maxDep        = 8 << 20   // modules.dep
	maxXZ         = 8 << 20   // dictionary of one packed by xz; the kernel's build takes 1 MiB
	maxWalked     = 50_000    // entries of the walk
)

// moduleFiles finds and reads the files of modules.
type moduleFiles struct {
	h      *host.Host
	out    collect.Sink
	dir    string            // "lib/modules/6.1.0"; "" where the release is not known
	files  map[string]string // by module name, relative to dir
	walked bool
}

func newModuleFiles(h *host.Host, out collect.Sink) *moduleFiles {
	f := &moduleFiles{h: h, out: out, files: map[string]string{}}
	b, err := h.Proc.ReadFile("sys/kernel/osrelease", 256)
	release := strings.TrimSpace(string(b))
	if err != nil || release == "" || strings.ContainsAny(release, "/\x00") {
		out.Note("The kernel's release is not known, so files of modules were not looked for.")
		return f
	}
	f.dir = "lib/modules/" + release
	dep, err := h.Root.ReadFile(f.dir+"/modules.dep", maxDep)
	if err == nil || errors.Is(err, host.ErrTruncated) {
		f.files = kmodule.Files(dep)
	}
	return f
}

// find is the file of a module: the one depmod knows, else one that lies about
// unregistered, as a module loaded by its path does.
func (f *moduleFiles) find(name string) (string, bool) {
	if f.dir == "" {
		return "", false
	}
	if _, ok := f.files[name]; !ok && !f.walked {
		f.walked = true
		left := maxWalked
		f.walk(".", 8, &left)
	}
	file, ok := f.files[name]
	if !ok {
		return "", false
	}
	if path.IsAbs(file) {
		return strings.TrimPrefix(file, "/"), true
	}
	return f.dir + "/" + file, true
}

// walk adds the module files below a directory that modules.dep did not name.
func (f *moduleFiles) walk(dir string, depth int, left *int) {
	var below []string
	err := f.h.Root.EachDirent(path.Join(f.dir, dir), func(e host.Dirent) error {
		if *left--; *left < 0 {
			return host.ErrTruncated
		}
		full := path.Join(dir, e.Name)
		if e.Kind == host.Directory {
			below = append(below, full)
		} else if name, ok := kmodule.Name(e.Name); ok && f.files[name] == "" {
			f.files[name] = full
		}
		return nil
	})
	if err != nil && !host.Gone(err) {
		f.out.Missing("/"+path.Join(f.dir, dir), err)
	}
	if depth == 0 {
		return
	}
	for _, d := range below {
		f.walk(d, depth-1, left)
	}
}

// describe fills in what a module's file says. Its error is that of a cancelled
// collection.
func (f *moduleFiles) describe(ctx context.Context, m *row.Module) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	name, ok := f.find(m.Name)
	if !ok {
		if f.dir != "" {
			flag(m, "no file of this name in /"+f.dir)
		}
		return nil
	}
	m.Path = "/" + name
	file, err := f.h.Root.Open(name)
	if err != nil {
		if host.Gone(err) {
			flag(m, "its file is not there")
		} else {
			note(m, err.Error())
		}
		f.out.Missing("file of a module", err)
		return nil
	}
	defer file.Close()
	st := file.Stat()
	m.FileSize, m.FileMTime = st.Size, st.MTime
	if err := f.read(ctx, m, file); err != nil {
		if context.Cause(ctx) != nil {
			return context.Cause(ctx)
		}
		note(m, err.Error())
		f.out.Missing("file of a module", err)
	}
	if again, err := file.Restat(); err == nil && !again.Same(st) {
		note(m, "its file changed while it was read")
	}
	if m.FileVersion != "" && m.SrcVersion != "" && m.FileVersion != m.SrcVersion {
		flag(m, "the file's source version is not that of the loaded module: another one was loaded")
	}
	return nil
}

// read hashes a file and looks into it.
func (f *moduleFiles) read(ctx context.Context, m *row.Module, file *host.File) error {
	sum := sha256.New()
	whole := io.TeeReader(io.LimitReader(reading{ctx, file}, maxModuleFile), sum)
	unpack, err := unpacker(m.Path, whole)
	if err != nil {
		note(m, err.Error())
	}
	var inner error
	switch {
	case unpack != nil:
		inner = f.unpacked(m, unpack)
		unpack.Close()
	case err == nil: // not compressed: it can be read where it lies
		inner = fill(m, file, m.FileSize)
	}
	// What the unpacking left unread counts too.
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return err
	}
	if m.FileSize <= maxModuleFile {
		m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	} else {
		note(m, fmt.Sprintf("longer than %d bytes: not hashed", int64(maxModuleFile)))
	}
	return inner
}

// unpacker is what unpacks a module file, by its name; nil where it is not packed.
func unpacker(name string, r io.Reader) (io.ReadCloser, error) {
	switch path.Ext(name) {
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(32<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case ".xz":
		x, err := xz.NewReader(r, maxXZ)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(x), nil
	}
	return nil, nil
}

// unpacked hashes the module within a compressed file, and looks into it if it
// fits into memory.
func (f *moduleFiles) unpacked(m *row.Module, r io.Reader) error {
	sum := sha256.New()
	var b bytes.Buffer
	n, err := io.Copy(io.MultiWriter(sum, &prefixWriter{&b, maxInMemory + 1}), io.LimitReader(r, maxUnpacked+1))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if n > maxUnpacked {
		note(m, fmt.Sprintf("unpacks to more than %d bytes: not hashed", int64(maxUnpacked)))
		return nil
	}
	m.InnerSHA256 = hex.EncodeToString(sum.Sum(nil))
	if n > maxInMemory {
		note(m, fmt.Sprintf("unpacks to more than %d bytes: not looked into", int64(maxInMemory)))
		return nil
	}
	return fill(m, bytes.NewReader(b.Bytes()), n)
}

// fill takes what a module file says of itself.
func fill(m *row.Module, r io.ReaderAt, size int64) error {
	file, err := kmodule.ReadFile(r, size)
	for _, v := range file.Info {
		if v.Name == "author" {
			m.Author = append(m.Author, v.Value)
		}
	}
	m.Description, m.License, m.VerMagic = file.Get("description"), file.Get("license"), file.Get("vermagic")
	m.InTree, m.FileVersion = file.Get("intree") == "Y", file.Get("srcversion")
	if m.Version == "" {
		m.Version = file.Get("version")
	}
	m.Signed, m.Signer, m.SignerKey, m.SignedHash = file.Signed, file.Signature.Signer, file.Signature.Serial, file.Signature.Hash
	return err
}

// reading is a reader that ends with its context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// prefixWriter keeps the first bytes and takes the rest without keeping it.
type prefixWriter struct {
	b    *bytes.Buffer
	left int
}

func (w *prefixWriter) Write(p []byte) (int, error) {
	k := min(len(p), w.left)
	w.left -= k
	w.b.Write(p[:k])
	return len(p), nil
}
