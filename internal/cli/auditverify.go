package cli

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"swab/client"
	"swab/internal/audit"
	"swab/internal/command"
	"swab/internal/evidence"
)

// knownLog is what is known beforehand of the log that a server shows.
type knownLog struct {
	Tenant string `help:"The tenant's id. Default: that of the credentials." env:"SWAB_TENANT" placeholder:"ID"`
	LogKey string `name:"log-key" help:"Public key that the log's checkpoints must be signed by, base64. Default: that of the credentials." env:"SWAB_LOG_KEY" placeholder:"KEY"`
}

// of is the tenant whose log it is, and the key that signs it: nil where nothing
// says which.
func (k knownLog) of(cred client.Credentials) (tenant string, key ed25519.PublicKey, err error) {
	tenant, key = cmp.Or(k.Tenant, cred.TenantID), cred.LogKey
	if k.LogKey != "" {
		if key, err = publicKey(k.LogKey); err != nil {
			return "", nil, fmt.Errorf("--log-key: %w", err)
		}
	}
	switch len(key) {
	case 0:
		return tenant, nil, nil
	case ed25519.PublicKeySize:
		return tenant, key, nil
	}
	return "", nil, errors.New("the log key of the credentials is not an Ed25519 public key")
}

type auditVerify struct {
	connection
	knownLog
	Package []string `help:"A package whose request and seal must be in this log; may be repeated." sep:"none" placeholder:"FILE"`
	output
}

func (*auditVerify) Help() string {
	return "Reads every entry of the tenant's log and computes the tree's root again; it must be what the checkpoint says, " +
		"which must be signed by a key known beforehand: the server's own word for its key proves nothing. " +
		"Each entry must be well formed and open to who asked and why. " +
		"Of a package, the checkpoint that its device checked must be the beginning of this log, and the entries that asked for it and sealed it must be there. " +
		"Exits with 1 and names the first entry, or package, that is wrong. Where a change of the log can't be pinned to one entry, it says between which checkpoints it was made; the packages given have more of them."
}

// audited is what came of it.
type audited struct {
	Tenant   string            `json:"tenant"`
	Entries  int64             `json:"entries"` // under the checkpoint; those after it were checked one by one
	Root     string            `json:"root"`
	LogKey   []byte            `json:"logKey"`
	Packages map[string]string `json:"packages,omitempty"` // file → the action that is proved
}

func (a *auditVerify) Run(ctx context.Context, env command.Env) error {
	cl, cred, err := a.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	tenant, key, err := a.of(cred)
	if err != nil {
		return err
	}
	if key == nil {
		return errors.New("which key signs this log? give --log-key, or --credentials with the server's bootstrap.json; the key that the server names itself proves nothing")
	}
	checked := make([]checkedPackage, len(a.Package))
	var seen []audit.Head
	for i, name := range a.Package {
		checked[i] = checkPackage(name, tenant, key)
		if checked[i].err == nil {
			seen = append(seen, checked[i].seen)
		}
	}
	log, err := readLog(ctx, tenant, key, cl.Audit, seen...)
	if err != nil {
		return err
	}
	out := audited{Tenant: tenant, Entries: log.head.Size, Root: log.head.Hash.String(), LogKey: key}
	for i, name := range a.Package {
		action, err := log.proves(name, checked[i])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if out.Packages == nil {
			out.Packages = map[string]string{}
		}
		out.Packages[name] = action
	}
	return a.print(env.Stdout, out, func(w io.Writer) error {
		err := fields(w, "tenant", tenant, "entries", fmt.Sprint(out.Entries), "root", out.Root,
			"verdict", "the log is whole, and its checkpoint is signed by the key given")
		for _, name := range a.Package {
			fmt.Fprintf(w, "%s: asked for by action %s and sealed, both in the log\n", command.Printable(name), command.Printable(out.Packages[name]))
		}
		return err
	})
}

// checkedPackage is a package, judged by itself.
type checkedPackage struct {
	report *evidence.Report
	seen   audit.Head // the log, as its device saw it
	err    error      // why the log can't tell of it
}

// checkPackage reads a package that says it is of the tenant's log.
func checkPackage(name, tenant string, key ed25519.PublicKey) (p checkedPackage) {
	if p.report, p.err = checkFile(name); p.err != nil {
		return p
	}
	switch m := p.report.Manifest; {
	case m == nil:
		p.err = errors.New("its manifest can't be read; swab verify tells more")
	case m.Checkpoint == "":
		p.err = errors.New("it was collected without a server, so no log knows it")
	case m.TenantID != tenant:
		p.err = fmt.Errorf("it is of tenant %s, the log of %s", m.TenantID, tenant)
	default:
		if p.seen, p.err = audit.OpenCheckpoint(m.Checkpoint, tenant, key); p.err != nil {
			p.err = fmt.Errorf("the checkpoint in it: %w", p.err)
		}
	}
	return p
}

// proves checks that a package is the one that this log says was asked for and
// sealed, and returns its action.
func (l *auditLog) proves(name string, p checkedPackage) (action string, err error) {
	if p.err != nil {
		return "", p.err
	}
	m, seen := p.report.Manifest, p.seen
	if seen.Size > l.size {
		return "", fmt.Errorf("its device saw a log of %d entries, and this one has %d: entries were taken away", seen.Size, l.size)
	}
	if err := l.holds(seen); err != nil {
		return "", fmt.Errorf("its device saw another log: %w", err)
	}
	request, ok := l.asked[m.ActionID]
	switch {
	case !ok:
		return "", fmt.Errorf("no entry asked for its action %s", m.ActionID)
	case request.index >= seen.Size:
		return "", fmt.Errorf("entry %d, which asked for it, came after the checkpoint over %d entries that its device checked", request.index, seen.Size)
	case request.commitment != m.Commitment:
		return "", fmt.Errorf("entry %d asked for it with another reason than the device was bound to", request.index)
	}
	sealed, ok := l.sealed[m.ActionID]
	switch {
	case !ok:
		return "", fmt.Errorf("no entry sealed a package of its action %s", m.ActionID)
	case sealed != "sha256:"+p.report.SHA256:
		return "", fmt.Errorf("the package that was sealed is %s, this one is sha256:%s", sealed, p.report.SHA256)
	}
	return m.ActionID, l.receipted(name)
}

// receipted checks that the receipt beside a package, if there is one, points
// at an entry of this log.
func (l *auditLog) receipted(name string) error {
	receipt, err := readReceipt(name + receiptSuffix)
	if receipt == nil || err != nil {
		return err
	}
	leaf, err := leafOf(receipt)
	if err != nil {
		return fmt.Errorf("its receipt: %w", err)
	}
	if _, ok := l.places[leaf]; !ok {
		return fmt.Errorf("the entry that its receipt names, %s, is not in the log", leaf)
	}
	return nil
}
