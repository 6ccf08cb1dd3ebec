package mask

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// short replaces each mask by <length>.
func short(s string) string {
	return regexp.MustCompile(`\[masked (\d+) bytes, [0-9a-f]{12}\]`).ReplaceAllString(s, "<$1>")
}

func TestSecretsOfEnvironmentsAreMasked(t *testing.T) {
	for in, want := range map[string]string{
		"PATH=/bin":                              "PATH=/bin",
		"PWD=/root":                              "PWD=/root",
		"OLDPWD=/":                               "OLDPWD=/",
		"SSH_AUTH_SOCK=/tmp/x":                   "SSH_AUTH_SOCK=/tmp/x",
		"LD_PRELOAD=/tmp/evil.so":                "LD_PRELOAD=/tmp/evil.so",
		"KEYMAP=de":                              "KEYMAP=de",
		"PASSWORD=hunter2":                       "PASSWORD=<7>",
		"DB_PASS=x":                              "DB_PASS=<1>",
		"MYSQL_PWD=x":                            "MYSQL_PWD=<1>",
		"PGPASSWORD=x":                           "PGPASSWORD=<1>",
		"AWS_SECRET_ACCESS_KEY=abc":              "AWS_SECRET_ACCESS_KEY=<3>",
		"GITHUB_TOKEN=":                          "GITHUB_TOKEN=",
		"AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/x": "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/x",
		"DATABASE_URL=postgres://u:s3cret@db:5432/x":   "DATABASE_URL=postgres://u:<6>@db:5432/x",
		"HTTPS_PROXY=http://proxy:3128":                "HTTPS_PROXY=http://proxy:3128",
		"X=eyJ" + strings.Repeat("a", 40):              "X=<43>",
		"TLS_KEY=/etc/ssl/k.pem":                       "TLS_KEY=/etc/ssl/k.pem",
		"NOVALUE":                                      "NOVALUE",
		"=C:=x":                                        "=C:=x",
		"HOOK=https://h/x?token=abcdefgh&room=general": "HOOK=https://h/x?token=<8>&room=general",
	} {
		got := short(New([32]byte{}).Env([]string{in})[0])
		if got != want {
			t.Errorf("Env(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSecretsOfCommandLinesAreMasked(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"app|--password=hunter2|-v", "app|--password=<7>|-v"},
		{"app|--api-key|abc|x", "app|--api-key|<3>|x"},
		{"app|--password-stdin|x", "app|--password-stdin|x"},
		{"app|--token-file=/x", "app|--token-file=/x"},
		{"app|--password|--next", "app|--password|--next"},
		{"mysql|-uroot|-psecret|db", "mysql|-uroot|-p<6>|db"},
		{"/usr/bin/mysqldump|-psecret|--port=1", "/usr/bin/mysqldump|-p<6>|--port=1"},
		{"sudo|mysql|-psecret", "sudo|mysql|-p<6>"},
		{"ssh|-p2222|host", "ssh|-p2222|host"},
		{"sshpass|-p|x y|ssh|h", "sshpass|-p|<3>|ssh|h"},
		{"curl|-u|me:pw|https://a:b@c/d", "curl|-u|me:<2>|https://a:<1>@c/d"},
		{"curl|-H|Authorization: Bearer abc|x", "curl|-H|Authorization: <10>|x"},
		{"sh|-c|mysql  -psecret db; echo done", "sh|-c|mysql  -p<6> db; echo done"},
		{"nginx: worker process", "nginx: worker process"},
		{"psql|host=h password=x user=u", "psql|host=h password=<1> user=u"},
		{"redis-cli|-a|x", "redis-cli|-a|<1>"},
		{"smbclient|-U|u%p|//h/s", "smbclient|-U|u%<1>|//h/s"},
		{"curl||me:x|", "curl||me:x|"}, // an empty argument is no option
		{"", ""},
	} {
		got := short(strings.Join(New([32]byte{}).Args(strings.Split(c.in, "|")), "|"))
		if got != c.want {
			t.Errorf("Args(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDigestsCompareWithinOneKeyOnly(t *testing.T) {
	a, b := New([32]byte{1}), New([32]byte{2})
	one, two := a.Env([]string{"TOKEN=x"}), a.Env([]string{"TOKEN=x"})
	if d := cmp.Diff(one, two); d != "" {
		t.Error(d)
	}
	if other := b.Env([]string{"TOKEN=x"}); other[0] == one[0] {
		t.Errorf("two keys give the same digest: %s", other[0])
	}
}

func FuzzArgsNeverPanicAndKeepTheirNumber(f *testing.F) {
	f.Add("curl|-u|a:b|https://x:y@z?token=1")
	f.Add("sh|-c|mysql -p' x'")
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "|")
		n := len(args)
		if got := New([32]byte{}).Args(args); len(got) != n {
			t.Errorf("%d arguments became %d", n, len(got))
		}
		New([32]byte{}).Env(strings.Split(s, "|"))
	})
}
