package mask

import (
	"slices"
	"strings"
)

// tool is where a program's command line carries secrets under names that say
// nothing.
type tool struct {
	names []string // of the program
	glued string   // an option whose secret follows without a space alone: "-p"
	opts  []string // options whose next word is, or ends in, the secret; a short one may have it glued on
	flags string   // short options without a value, which may stand before one of opts: "-sSu"
	verb  string   // the word only after which the options mean this: `docker login`, unlike `docker run -p 80:80`
	pairs []string // those of opts whose word is name=secret, whatever half says; without a `=` it is a file
	half  string   // what separates a user from the secret in that word; "": all of it is secret
	long  bool     // options have one dash and long names, so that none is glued to its value
	net   bool     // `net use`
}

func (t *tool) known() bool { return len(t.names) > 0 }

// takes reports whether the word after an option is the secret.
func (t *tool) takes(arg string) bool { return slices.Contains(t.opts, arg) }

// halves is what stands between the name and the secret in an option's word. Of
// short options only the last of several counts.
func (t *tool) halves(opt string) string {
	for _, p := range t.pairs {
		if opt == p || len(p) == 2 && !strings.HasPrefix(opt, "--") && strings.HasPrefix(opt, "-") && strings.HasSuffix(opt, p[1:]) {
			return "="
		}
	}
	return t.half
}

// opt is how arg begins if it is a short option with a secret: all of it, or as
// much as stands before a secret that is glued on. Otherwise it is "".
func (t *tool) opt(arg string) string {
	if len(arg) < 2 || arg[0] != '-' || arg[1] == '-' {
		if len(arg) > 3 && t.takes(arg[:3]) && arg[2] == ':' { // `/p:secret`
			return arg[:3]
		}
		return ""
	}
	if t.long {
		return ""
	}
	if t.glued != "" && len(arg) > len(t.glued) && strings.HasPrefix(arg, t.glued) {
		return t.glued
	}
	at := 1
	for at < len(arg)-1 && strings.IndexByte(t.flags, arg[at]) >= 0 {
		at++
	}
	for _, o := range t.opts {
		if len(o) == 2 && o[0] == '-' && o[1] == arg[at] {
			return arg[:at+1]
		}
	}
	return ""
}

var tools = []tool{
	{names: []string{"mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "mariadb-admin", "7z", "7za"}, glued: "-p"},
	{names: []string{"sshpass"}, opts: []string{"-p"}},
	{names: []string{"curl"}, opts: []string{"-u", "--user", "-U", "--proxy-user", "-b", "--cookie"}, pairs: []string{"-b", "--cookie"}, flags: "sSkLfviIgGNqOnRJ#046", half: ":"},
	{names: []string{"smbclient", "rpcclient", "winexe"}, opts: []string{"-U", "--user"}, half: "%"},
	{names: []string{"net", "net1"}, opts: []string{"-U", "--user"}, half: "%", net: true},
	{names: []string{"redis-cli"}, opts: []string{"-a"}},
	{names: []string{"ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami"}, opts: []string{"-w"}, flags: "xZvncLMPQ"},
	{names: []string{"sqlcmd", "tsql", "mosquitto_pub", "mosquitto_sub"}, opts: []string{"-P"}},
	{names: []string{"rdesktop", "mongo", "mongosh", "mongodump"}, opts: []string{"-p"}},
	{names: []string{"xfreerdp"}, opts: []string{"-p", "/p:"}},
	{names: []string{"openssl"}, opts: []string{"-k", "-K", "-passin", "-passout", "-pass"}, long: true},
	{names: []string{"unzip", "zip"}, opts: []string{"-P"}, flags: "qrojuvn"},
	{names: []string{"az"}, opts: []string{"-p"}},
	{names: []string{"docker", "podman", "helm", "skopeo", "buildah", "nerdctl"}, verb: "login", opts: []string{"-p"}},
	{names: []string{"keytool", "jarsigner"}, opts: []string{"-storepass", "-keypass", "-srcstorepass", "-deststorepass"}},
}

// byName finds a tool by its program's name.
var byName = func() map[string]*tool {
	all := map[string]*tool{}
	for i := range tools {
		for _, name := range tools[i].names {
			all[name] = &tools[i]
		}
	}
	return all
}()

// none is the tool of any other program.
var none tool

// maxProgram is the longest program's name in the table, and then some.
const maxProgram = 20

// useTool is the tool of a program's name or path, and whether its options mean
// what its table says from the first word on.
func useTool(program string) (t *tool, on bool) {
	program = strings.TrimRight(program, `"'`)
	begin := len(program)
	for begin > 0 && strings.IndexByte("/\\\"'`$(", program[begin-1]) < 0 {
		begin--
		if len(program)-begin > maxProgram {
			return &none, false
		}
	}
	program = program[begin:]
	if len(program) < 2 {
		return &none, false
	}
	program = strings.TrimSuffix(strings.ToLower(program), ".exe")
	if t, ok := byName[program]; ok {
		return t, t.verb == ""
	}
	return &none, false
}
