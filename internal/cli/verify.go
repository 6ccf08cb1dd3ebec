package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"swab/internal/command"
	"swab/internal/device"
	"swab/internal/evidence"
)

type verify struct {
	File    string `arg:"" help:"The package."`
	Device  string `help:"Id of the device that it must be of." placeholder:"ID"`
	Trust   string `help:"The server whose receipts are believed: its bootstrap.json, or a file that holds its receiptKey alone." env:"SWAB_TRUST" placeholder:"FILE"`
	Receipt string `help:"The package's receipt. Default: FILE.receipt, where it is there." placeholder:"FILE"`
	Require string `help:"Exit with 3 where a package is intact and its signer unproven." enum:"intact,authentic" default:"intact"`
	Salvage string `help:"Write the entries that are whole to this new directory, whatever the verdict." placeholder:"DIR"`
	output
}

func (*verify) Help() string {
	return "Says in one line what the package is, and the first thing that is wrong. " +
		"Authentic (exit 0): every byte is accounted for, the ledger is complete against the plan, " +
		"and the device is the one given by --device or by a receipt that a trusted key signed. " +
		"Intact, signer unproven (0, or 3 with --require authentic): as much, but nothing here says whose key signed it. " +
		"Altered: 1. Incomplete, cut off: 2. Unreadable: 4."
}

// exitUnproven is the exit code of a package that is intact where more was required.
const exitUnproven = 3

// Check judges the settings.
func (v *verify) Check() error {
	if v.Device == "" {
		return nil
	}
	if _, err := device.ParseID(v.Device); err != nil {
		return fmt.Errorf("--device: %w", err)
	}
	return nil
}

func (v *verify) Run(_ context.Context, env command.Env) error {
	trust := trusted{device: v.Device}
	var err error
	if v.Trust != "" {
		key, err := readTrust(v.Trust)
		if err != nil {
			return fmt.Errorf("--trust: %w", err)
		}
		trust.keys = []ed25519.PublicKey{key}
	}
	if v.Receipt != "" {
		if trust.receipt, err = readReceipt(v.Receipt); err == nil && trust.receipt == nil {
			err = fmt.Errorf("%s: %w", v.Receipt, fs.ErrNotExist)
		}
	} else {
		trust.receipt, err = readReceipt(v.File + receiptSuffix)
	}
	if err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	verdict, report, err := judge(v.File, trust)
	if err != nil {
		return &command.ExitError{Code: evidence.Unreadable.Exit(), Err: err}
	}
	if verdict.Class == evidence.Intact && v.Require == "authentic" {
		verdict.Exit = exitUnproven
	}
	var saved []evidence.Extracted
	if v.Salvage != "" {
		if saved, err = salvage(v.File, v.Salvage); err != nil {
			return fmt.Errorf("salvage: %w", err)
		}
	}
	out := struct {
		File     string                `json:"file"`
		Verdict  evidence.Verdict      `json:"verdict"`
		Report   *evidence.Report      `json:"report"`
		Device   *evidence.DeviceFacts `json:"device"`
		Salvaged []evidence.Extracted  `json:"salvaged,omitempty"`
	}{v.File, verdict, report, nil, saved}
	if report.Manifest != nil {
		out.Device = &report.Manifest.Device
	}
	err = v.print(env.Stdout, out, func(w io.Writer) error {
		fmt.Fprintf(w, "%s: %s\n", command.Printable(v.File), command.Printable(verdict.Text))
		if v.Salvage != "" {
			fmt.Fprintf(w, "%d entries that are whole were written to %s\n", len(saved), command.Printable(v.Salvage))
		}
		return nil
	})
	return errors.Join(err, exitOf(verdict))
}

// trusted is what is known from elsewhere about a package.
type trusted struct {
	device  string
	keys    []ed25519.PublicKey // of receipts
	receipt []byte              // nil where there is none
}

// judge checks a package and says what it is.
func judge(name string, t trusted) (evidence.Verdict, *evidence.Report, error) {
	report, err := checkFile(name)
	if err != nil {
		return evidence.Verdict{}, nil, err
	}
	id := device.ID("")
	if t.device != "" {
		if id, err = device.ParseID(t.device); err != nil {
			return evidence.Verdict{}, nil, err
		}
	}
	return report.Judge(evidence.Trust{Device: id, ReceiptKeys: t.keys, Receipt: t.receipt}), report, nil
}

// exitOf is the error that makes the program exit as a verdict says. The verdict
// itself has been told.
func exitOf(v evidence.Verdict) error {
	if v.Exit == 0 {
		return nil
	}
	return &command.ExitError{Code: v.Exit}
}

func checkFile(name string) (*evidence.Report, error) {
	f, size, err := openPackage(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return evidence.CheckFile(f, size, evidence.DefaultLimits()), nil
}

func openPackage(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

// maxSmall bounds the small files that are read whole: a receipt, a trust file.
const maxSmall = 1 << 20

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(data) > maxSmall {
		err = fmt.Errorf("%s has over %d bytes", name, maxSmall)
	}
	return data, err
}

// readReceipt reads a receipt, or nothing where there is none.
func readReceipt(name string) ([]byte, error) {
	data, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// leafOf is the audit entry that a receipt names: the hex SHA-256 of its leaf.
func leafOf(receipt []byte) (string, error) {
	r, err := evidence.PeekReceipt(receipt)
	return r.Leaf, err
}

// readTrust reads the key that receipts must be signed by: from a server's
// bootstrap.json, from a JSON object that has a receiptKey alone, or from a file
// that is the key in base64.
func readTrust(name string) (ed25519.PublicKey, error) {
	data, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	key, err := parseTrust(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

func parseTrust(data []byte) (ed25519.PublicKey, error) {
	text := bytes.TrimSpace(data)
	if !bytes.HasPrefix(text, []byte("{")) {
		return publicKey(string(text))
	}
	var file struct {
		ReceiptKey string `json:"receiptKey"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	key, err := publicKey(file.ReceiptKey)
	if err != nil {
		return nil, fmt.Errorf("receiptKey: %w", err)
	}
	return key, nil
}

// salvage writes what is whole of a package into a new directory.
func salvage(name, dir string) ([]evidence.Extracted, error) {
	f, size, err := openPackage(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return evidence.Extract(f, size, dir, evidence.DefaultLimits())
}
