package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"swab/client"
	"swab/internal/command"
	"swab/internal/evidence"
)

type download struct {
	Action string `arg:"" help:"The action's id."`
	Output string `help:"File to write the package to; its receipt is written to FILE.receipt." required:"" placeholder:"FILE"`
	connection
	output
}

func (*download) Help() string {
	return "The package is judged once it is here; exits with what swab verify would. What is there already is never overwritten."
}

func (d *download) Run(ctx context.Context, env command.Env) error {
	cl, cred, err := d.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := free(d.Output); err != nil {
		return err
	}
	action, err := cl.Action(ctx, d.Action)
	if err != nil {
		return noSuch("action", d.Action, err)
	}
	if action.Ended() && action.Status != client.Succeeded {
		return endedWithout(action)
	}
	if !action.Ended() {
		return fmt.Errorf("action %s is %s: wait until it has succeeded", action.ID, action.Status)
	}
	got, err := Fetch(ctx, cl, cred, action, d.Output, env.Now)
	if err != nil {
		return err
	}
	return errors.Join(d.print(env.Stdout, got, got.show), got.Exit())
}

// free is nil where neither the package nor its receipt would overwrite a file.
func free(name string) error {
	for _, n := range []string{name, name + receiptSuffix} {
		if _, err := os.Lstat(n); err == nil {
			return fmt.Errorf("%s exists; evidence is not overwritten", n)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// receiptSuffix follows a package's file name in that of its receipt.
const receiptSuffix = ".receipt"

// Fetched is a package on disk, and what it was found to be.
type Fetched struct {
	Action     string           `json:"action"`
	File       string           `json:"file"`
	Receipt    string           `json:"receipt"`
	Size       int64            `json:"size"`
	SHA256     string           `json:"sha256"`
	Verdict    evidence.Verdict `json:"verdict"`
	Report     *evidence.Report `json:"-"`
	Downloaded time.Duration    `json:"-"` // how long that took
	Judged     time.Duration    `json:"-"`
}

// Fetch downloads an action's package to a new file, and its receipt to the file
// beside it, and judges them by what the credentials pin and by the device that
// the server says it asked.
func Fetch(ctx context.Context, cl *client.Client, cred client.Credentials, action client.Action, name string, now func() time.Time) (Fetched, error) {
	got := Fetched{Action: action.ID, File: name, Receipt: name + receiptSuffix}
	start := now()
	var receipt []byte
	err := create(name, func(w io.Writer) error {
		p, err := cl.Download(ctx, action.ID, w)
		got.Size, got.SHA256, receipt = p.Size, p.SHA256, p.Receipt
		return err
	})
	if err != nil {
		return got, err
	}
	err = create(got.Receipt, func(w io.Writer) error {
		_, err := w.Write(receipt)
		return err
	})
	if err != nil {
		return got, err
	}
	got.Downloaded = now().Sub(start)
	start = now()
	trust := trusted{device: action.MachineID, receipt: receipt}
	if len(cred.ReceiptKey) > 0 {
		trust.keys = append(trust.keys, cred.ReceiptKey)
	}
	got.Verdict, got.Report, err = judge(name, trust)
	got.Judged = now().Sub(start)
	return got, err
}

// Exit is nil, or the error that makes the program exit as the verdict says.
func (f Fetched) Exit() error { return exitOf(f.Verdict) }

func (f Fetched) show(w io.Writer) error {
	return fields(w, "package", fmt.Sprintf("%s  %d bytes", f.File, f.Size), "receipt", f.Receipt, "sha256", f.SHA256, "verdict", f.Verdict.Text)
}

// create writes a new file, whole and durable under its name or not there at all.
func create(name string, write func(io.Writer) error) error {
	// A name that nobody can foresee: what lies there already, file or link, is
	// neither followed nor emptied.
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	part := f.Name()
	defer os.Remove(part)
	err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never takes the place of a file that has
	// appeared meanwhile.
	if err := os.Link(part, name); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return claim(part, name)
}

// claim renames part on a file system without links. The name is taken first, so
// that the only file that is replaced is our own empty one.
func claim(part, name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.Close()
	if err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
