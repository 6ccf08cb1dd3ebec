package quickstart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"swab/client"
	"swab/internal/cli"
	"swab/internal/evidence"
)

// report says what there is, where it lies, how long it took, and how to do the
// same by hand.
func (r *road) report(f cli.Fetched, cred client.Credentials, device client.Machine) error {
	fmt.Fprintln(r.out)
	err := columns(r.out, [][]string{
		{"package", f.File, size(f.Size)},
		{"receipt", f.Receipt},
		{"verdict", f.Verdict.Text},
	})
	if err != nil {
		return err
	}
	if m := f.Report.Manifest; m != nil {
		if err := r.contents(m); err != nil {
			return err
		}
	}
	fmt.Fprintln(r.out, "\nHow long it took:")
	rows := make([][]string, len(r.times))
	for i, t := range r.times {
		rows[i] = []string{"  " + t.what, fmt.Sprintf("%.1f ms", float64(t.took)/float64(time.Millisecond))}
	}
	if err := columns(r.out, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "\nThe same by hand:\n\n%s", byHand(r.dir, cred, device.ID))
	return err
}

// contents shows the ledger: each item that was asked for, and what came of it.
func (r *road) contents(m *evidence.Manifest) error {
	fmt.Fprintln(r.out, "\nWhat is in it:")
	rows := [][]string{{"  ITEM", "OUTCOME", "ROWS", "BYTES", "WHY"}}
	denied := 0
	for _, line := range m.Ledger {
		rows = append(rows, []string{
			"  " + line.Item, string(line.Outcome), strconv.FormatInt(line.Rows, 10), size(line.Bytes), line.Cause,
		})
		if line.Outcome == evidence.Denied {
			denied++
		}
		for _, miss := range line.Missing {
			if miss.Outcome == evidence.Denied {
				denied++
			}
		}
	}
	if err := columns(r.out, rows); err != nil {
		return err
	}
	if denied > 0 {
		advice := "Run as root to have them."
		if os.Geteuid() == 0 {
			advice = "Root is not enough for them here: a container or a security module stands in the way."
		}
		fmt.Fprintf(r.out, "\n%d things could not be read for want of rights; the ledger in manifest.json names each. %s\n", denied, advice)
	}
	return nil
}

// byHand is the shell's way to a package: copy, paste. The secret is read from
// its file, so that neither the terminal nor the list of processes shows it.
func byHand(dir string, cred client.Credentials, device string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	curl := "curl -sS --cacert " + quote(cred.CAFile)
	api := curl + ` -H "Authorization: Bearer $TOKEN"`
	field := func(name string) string { return `sed -n 's/.*"` + name + `":"\([^"]*\)".*/\1/p'` }

	line("# a token")
	line(`SECRET=$(sed -n 's/.*"clientSecret": "\(.*\)".*/\1/p' %s)`, quote(filepath.Join(dir, "bootstrap.json")))
	line(`TOKEN=$(printf 'grant_type=client_credentials&client_id=%%s&client_secret=%%s&scope=%%s/.default' %s "$SECRET" %s |`,
		quote(cred.ClientID), quote(cred.APIBase))
	line("  %s -d @- %s | %s)", curl, quote(cred.Authority+"/oauth2/v2.0/token"), field("access_token"))
	line("# the devices")
	line("%s %s; echo", api, quote(cred.APIBase+"/api/machines"))
	line("# ask this host for a package")
	line(`ACTION=$(%s -H 'Content-Type: application/json' -d '{"Comment":"by hand"}' %s | %s)`,
		api, quote(cred.APIBase+"/api/machines/"+device+"/collectInvestigationPackage"), field("id"))
	line("# wait until it is there")
	line(`until %s %s"$ACTION" | grep -E '"status":"(Succeeded|Failed|TimeOut|Cancelled)"'; do sleep 1; done`, api, quote(cred.APIBase+"/api/machineactions/"))
	line("# a link, the package, its receipt")
	line(`LINK=$(%s %s"$ACTION"/getPackageUri | %s)`, api, quote(cred.APIBase+"/api/machineactions/"), field("value"))
	line(`%s -o "$ACTION.zip" "$LINK"`, curl)
	line(`%s -o "$ACTION.zip.receipt" "$(echo "$LINK" | sed 's/\.zip?/.zip.receipt?/')"`, curl)
	line("# judge it")
	line(`%s verify "$ACTION.zip" --trust %s`, program(), quote(filepath.Join(dir, "bootstrap.json")))
	return b.String()
}

// program is how to call this program from another shell, in the shell's words:
// by its name where that is found, else by its path.
func program() string {
	if _, err := exec.LookPath("swab"); err == nil {
		return "swab"
	}
	path, err := os.Executable()
	if err != nil {
		return "swab"
	}
	return callOf(path)
}

// callOf is how to call the program at path. What go run built is gone when it
// ends, so there it is built again.
func callOf(path string) string {
	built := func(dir string) bool { // go-build2471, or go-build in the cache
		rest, ok := strings.CutPrefix(dir, "go-build")
		return ok && strings.Trim(rest, "0123456789") == ""
	}
	if slices.ContainsFunc(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), built) {
		return "go run ./cmd/swab"
	}
	return quote(path)
}

// quote makes s one word of the shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("/:._-@%+=,", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
