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
		{"", ""},
	} {
		got := short(strings.Join(New([32]byte{}).Args(strings.Split(c.in, "|")), "|"))
		if got != c.want {
			t.Errorf("Args(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// Wherever a secret stands in a text, it is not in what is shown.
func TestSecretsInsideTextsAreMasked(t *testing.T) {
	const s = "S3cretValue9"
	for _, in := range []string{
		`sh|-c|curl -H "Authorization: Bearer §" https://x`, `wget|--header=Authorization: Bearer §`, `curl|--header=X-Api-Key: §`,
		`curl|-HAuthorization: Bearer §`, `curl|--user=me:§`, `curl|-ume:§`, `mount|-t|cifs|-o|user=u,password=§`, `docker|login|-p|§`, `az|login|-p|§`,
		`ldapsearch|-w§`, `redis-cli|-a§`, `prog|--password|-§`, `prog|{"a":1,"password":"§","b":2}`, `prog|--conn=Server=h;Password=§;x=y`,
		`sh|-c|export TOKEN="aaa §"`, `app|http://a:one@h,http://b:§@h`, `keytool|-storepass|§`, `app|AccountKey=§;EndpointSuffix=x`,
		"app|-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----",
	} {
		got := strings.Join(New([32]byte{}).Args(strings.Split(strings.ReplaceAll(in, "§", s), "|")), "|")
		if strings.Contains(got, s) {
			t.Errorf("Args(%q) shows the secret: %q", in, got)
		}
	}
	for _, in := range []string{
		`JAVA_OPTS=-Djavax.net.ssl.keyStorePassword=§ -Xmx1g`, `X=Server=h;Password=§`, `AUTH_HEADER=Bearer §`, `HEADERS=Authorization: Bearer §`,
		`CFG={"password":"§"}`, `CFG={"db_password" : "§"}`, `JDBC=jdbc:mysql://h/db?user=x&password=§`, `API_HEADER_TEXT="quoted token: '§' x"`,
	} {
		got := New([32]byte{}).Env([]string{strings.ReplaceAll(in, "§", s)})[0]
		if strings.Contains(got, s) {
			t.Errorf("Env(%q) shows the secret: %q", in, got)
		}
	}
	for _, in := range []string{
		`app|--password-file=/run/x`, `vim|/etc/passwd`, `app|tokenizer=fast`, `echo|this is basic stuff: a bearer of news`, `app|PublicKey=abc`, `git|commit|--author=A <a@b>`,
		`app|--time=12:30:45|x=y`, `java|-Dfile.encoding=UTF-8|-cp|/a:/b`, `sshd: alice@pts/0`,
	} {
		if got := strings.Join(New([32]byte{}).Args(strings.Split(in, "|")), "|"); got != in {
			t.Errorf("Args(%q) = %q: nothing of it is a secret", in, got)
		}
	}
}

func BenchmarkMaskAProcess(b *testing.B) {
	m := New([32]byte{})
	args := []string{"/usr/bin/java", "-Dfile.encoding=UTF-8", "-Xmx1g", "-cp", "/a/b.jar:/c/d.jar", "com.example.Main", "--port=8080"}
	env := []string{"PATH=/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8", "JAVA_HOME=/usr/lib/jvm", "DATABASE_URL=postgres://u:secret@db:5432/x"}
	for b.Loop() {
		m.Args(append([]string(nil), args...))
		m.Env(append([]string(nil), env...))
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
