package mask

import (
	"slices"
	"strings"
)

// tool is where a program's command line carries secrets under names that say
// nothing.
type tool struct {
	names []string // of the program
	glued string   // an option whose secret follows without a space: "-p"
	opts  []string // options whose next word is, or ends in, the secret
	half  string   // what separates a user from the secret in that word; "": all of it is secret
}

func (t tool) known() bool { return len(t.names) > 0 }

func (t tool) next(arg string) bool { return slices.Contains(t.opts, arg) }

// opt is the short option that arg begins with and whose secret follows without
// a space ("-wsecret"), or "".
func (t tool) opt(arg string) string {
	for _, o := range t.opts {
		if len(o) == 2 && len(arg) > 2 && strings.HasPrefix(arg, o) {
			return o
		}
	}
	return ""
}

var tools = []tool{
	{names: []string{"mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "mariadb-admin", "7z", "7za"}, glued: "-p"},
	{names: []string{"sshpass"}, glued: "-p", opts: []string{"-p"}},
	{names: []string{"curl"}, opts: []string{"-u", "--user", "-U", "--proxy-user"}, half: ":"},
	{names: []string{"smbclient", "rpcclient", "net", "winexe"}, opts: []string{"-U", "--user"}, half: "%"},
	{names: []string{"redis-cli"}, opts: []string{"-a"}},
	{names: []string{"ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami"}, opts: []string{"-w"}},
	{names: []string{"sqlcmd", "tsql", "xfreerdp", "rdesktop", "mongo", "mongosh", "mongodump", "mosquitto_pub", "mosquitto_sub"}, opts: []string{"-P", "-p"}},
	{names: []string{"openssl"}, opts: []string{"-k", "-K", "-passin", "-passout", "-pass"}},
	{names: []string{"unzip", "zip"}, opts: []string{"-P"}},
	{names: []string{"docker", "podman", "az", "helm", "skopeo", "buildah", "nerdctl"}, opts: []string{"-p"}},
	{names: []string{"keytool", "jarsigner"}, opts: []string{"-storepass", "-keypass", "-srcstorepass", "-deststorepass"}},
}

// toolOf is the tool of a program's name or path.
func toolOf(program string) tool {
	program = program[strings.LastIndexByte(program, '/')+1:]
	for _, t := range tools {
		if slices.Contains(t.names, program) {
			return t
		}
	}
	return tool{}
}
