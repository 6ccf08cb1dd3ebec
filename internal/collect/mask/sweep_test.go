package mask

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
)

// argsWith and envWith are the places in which secrets were seen; § is the secret.
var argsWith = []string{
	`sh|-c|curl -H "Authorization: Bearer §" https://x`, `sh|-c|export TOKEN="aaa §"`, `sh|-c|PGPASSWORD=§ psql`, `sh|-c|prog --password 'aa §' db`,
	`sh|-c|curl -u "me:aa §" x`, `sh|-c|su - x -c 'mysql -p§ db'`, `sh|-c|(mysql -p§)`, `sh|-c|x && docker login -p § r`,
	`wget|--header=Authorization: Bearer §`, `wget|--header=Proxy-Authorization: Negotiate §`, `wget|--header=Cookie: a=1; b=§`,
	`curl|--header=X-Api-Key: §`, `curl|-HAuthorization: Bearer §`, `curl|-H|Cookie: a=1; b=§`, `curl|-H|X: Bearer   §`,
	`curl|--user=me:§`, `curl|-ume:§`, `curl|-sSume:§`, `curl|-sSu|me:§`,
	`mount|-t|cifs|-o|user=u,password=§`, `docker|login|-p|§`, `docker|login|-p§`, `az|login|-p|§`, `az|login|-p|-§`,
	`net|use|\\h\s|§|/user:u`, `net|use|Z:|\\h\s|/user:u|§`, `C:\Windows\NET.EXE|use|\\h\s|§`, `xfreerdp|/p:§|/v:h`,
	`ldapsearch|-w§`, `ldapsearch|-xw|§`, `ldapsearch|-xw§`, `redis-cli|-a§`, `mosquitto_pub|-P§`, `zip|-P§`, `keytool|-storepass|§`, `openssl|enc|-k|§`,
	`prog|--password|-§`, `prog|-password|§`, `prog|--client_secret|§`, `prog|--password|§`,
	`prog|{"a":1,"password":"§","b":2}`, `prog|{\"password\":\"§\"}`, `prog|{"password":["§"]}`, `prog|{"password":"a\"§"}`, `prog|{"pwd":"§"}`,
	`prog|--conn=Server=h;Password=§;x=y`, `prog|--conn=Server=h;Pwd="a;§"`, `prog|AccountKey=§;EndpointSuffix=x`,
	`prog|password:=§`, `prog|"password"=>"§"`, "prog|password =\t§", `prog|client_secret=§`, `prog|--set|auth.password=§`, `prog|password=[masked§`,
	`prog|http://a:one@h,http://b:§@h`, `prog|http://a:one@h http://b:§@h`, `prog|mongodb://a:one@h,b:§@i/db`, `prog|https://h/?a=b&token=§`,
	`prog|--password|--§`, `prog|--password|--aB§`, `prog|-password|--§`, `sh|-c|prog --password --§ db`,
	`prog|<password>§</password>`, `prog|<a><ns:Password type="x">§</ns:Password><b>c</b></a>`, `prog|<password><![CDATA[§]]></password>`, `prog|<password>§`,
	`prog|<dict><key>password</key> <string>§</string></dict>`, `sh|-c|echo "<token>§</token>" x`,
	`prog|https://h/?next=https%3A%2F%2Fi%2F%3Fa%3Db%26password%3D§%26x%3D1`, `prog|password%3D§`, `prog|pwd%3d§`, `prog|a%26api_key%3D§`, `prog|%7B%22password%22%3A%22§%22%7D`,
	`prog|password%253D§`, `prog|a%2526pass%253D§%2526b`, `prog|u=https%3A%2F%2Fme%3A§%40h%2Fx`,
	`curl|-b|sid=§`, `curl|-bsid=§`, `curl|-sSb|a=1; sid=§`, `curl|--cookie|sid=§`, `curl|--cookie=sid=§`, `sh|-c|curl -b 'a=1; sid=§' https://x`,
	"prog|-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----",
}

var envWith = []string{
	`JAVA_OPTS=-Djavax.net.ssl.keyStorePassword=§ -Xmx1g`, `X=Server=h;Password=§`, `AUTH_HEADER=Bearer §`, `AUTHORIZATION=Basic §`, `HEADERS=Authorization: Bearer §`,
	`HEADERS=X-Api-Key: §`, `CFG={"password":"§"}`, `CFG={"db_password" : "§"}`, `JDBC=jdbc:mysql://h/db?user=x&password=§`, `TEXT="quoted token: '§' x"`,
	`X=<password>§</password>`, `X=password%3D§`,
	`X=-HAuthorization: Bearer §`, "X=a Bearer\t§", `X=http://a:one@h,http://b:§@h?token=§`, `X=Digest auth, Authorization: Digest username="u", response="§"`,
}

func maskAll(line, secret string, isEnv bool) string {
	line = strings.ReplaceAll(line, "§", secret)
	if isEnv {
		return New([32]byte{}).Env([]string{line})[0]
	}
	return strings.Join(New([32]byte{}).Args(strings.Split(line, "|")), "|")
}

func TestSecretsInsideTextsAreMasked(t *testing.T) {
	for _, secret := range []string{"S3cretValue9", "Z9", "p%C3%A4ss-W0rd.x_y"} {
		for _, in := range argsWith {
			if got := maskAll(in, secret, false); strings.Contains(got, secret) || !strings.Contains(got, "[masked ") {
				t.Errorf("Args(%q) shows the secret %q: %q", in, secret, got)
			}
		}
		for _, in := range envWith {
			if got := maskAll(in, secret, true); strings.Contains(got, secret) || !strings.Contains(got, "[masked ") {
				t.Errorf("Env(%q) shows the secret %q: %q", in, secret, got)
			}
		}
	}
}

func TestWhatIsNoSecretIsShown(t *testing.T) {
	for _, in := range []string{
		`app|--password-file=/run/x`, `vim|/etc/passwd`, `cat: /etc/passwd: root only`, `docker|run|-v|/etc/passwd:/etc/passwd:ro|-p|8080:80|x`, `podman|run|-p8080:80|x`,
		`app|tokenizer=fast`, `app|tokenizer: fast`, `echo|this is basic stuff: a bearer of news`, `echo|basic security. A token for everybody; basic read-only access`,
		`app|PublicKey=abc`, `app|monkey=banana|keyboard=us`, `git|commit|--author=A <a@b>`, `git|clone|git@h:x/y`, `app|--time=12:30:45|x=y`, `app|a=1,b=2;c=3&d=4`,
		`java|-Dfile.encoding=UTF-8|-cp|/a:/b`, `sshd: alice@pts/0`, `openssl|req|-keyout|x.pem|-key|k.pem`, `mosquitto_pub|-p|1883`, `ssh|-p|2222|h`, `net|user|/domain`,
		`app|https://h:80/a@b`, `app|http://user@h/`, `env|PWD=/root|sh`, `sh|-c|cd x && PWD=$HOME ls 'a b'  "c d"`, `ldapsearch|-W|-x`, `app|max_tokens=100`,
		`mysql|--password|--host=db|--user=u`, `app|--password|--verbose`, `app|--password|--password-file=/x`, `app|--token|--|x`,
		`app <user> <password> [option]`, `app|<name>x</name><value>y</value>`, `app|<password/><a>b</a>`, `app|100%|a%3Db%26c%3Dd|https%3A%2F%2Fh%2Fx`,
		`curl|-b|cookies.txt|--cookie-jar|jar.txt`, `app|eyJ|heyJude|a,sk-learn-is-a-long-name-without-figures`, `app|key%3A/`,
		`app|--|-|--x|=|:|://|"|'`,
	} {
		if got := maskAll(in, "", false); got != in {
			t.Errorf("Args(%q) = %q: nothing of it is a secret", in, got)
		}
	}
	for _, in := range []string{`LS_COLORS=rs=0:di=01;34`, `PS1=\u@\h:\w\$ `, `PATH=/a:/b`, `X=a: b=c`, `NOTE=a basic text: the token ring`} {
		if got := maskAll(in, "", true); got != in {
			t.Errorf("Env(%q) = %q: nothing of it is a secret", in, got)
		}
	}
}

func TestTokensAreMaskedInTheMiddleOfAText(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	for in, want := range map[string]string{
		"a," + token + ",b":                             "a,<80>,b",
		"a " + token + " b":                             "a <80> b",
		"(x" + token + ")":                              "(x<80>)", // its dots tell it
		"%20" + token + "%20":                           "%20<80>%20",
		"[" + strings.ReplaceAll(token, ".", "") + "]":  "[<78>]",
		"z" + strings.ReplaceAll(token, ".", ""):        "z" + strings.ReplaceAll(token, ".", ""), // may be anything in base64
		"a;ghp_0123456789abcdefghijklmnopqrst;AKIA0123": "a;<34>;AKIA0123",
		"x,AKIAIOSFODNN7EXAMPLE":                        "x,<20>",
	} {
		m := New([32]byte{})
		if got := short(m.Args([]string{"app", in})[1]); got != want {
			t.Errorf("Args(%q) = %q, want %q", in, got, want)
		}
		if got := short(m.Env([]string{"X=" + in})[0]); got != "X="+want {
			t.Errorf("Env(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestKernelLinesAndModuleParametersAreMasked(t *testing.T) {
	for in, want := range map[string]string{
		"BOOT_IMAGE=/vmlinuz root=UUID=1-2 ro quiet ip=10.0.0.2::10.0.0.1:255.255.255.0:h:eth0:none": "",
		"rd.iscsi.password=S3c rd.iscsi.username=u rd.iscsi.in.password=S":                           "rd.iscsi.password=<3> rd.iscsi.username=u rd.iscsi.in.password=<1>",
		"rd.luks.key=S3cret rd.luks.key=/key:UUID=1 rd.luks.uuid=1":                                  "rd.luks.key=<6> rd.luks.key=<11> rd.luks.uuid=1",
		"rd.luks.key=/etc/key keymap=de rd.vconsole.keymap=de":                                       "", // where a key lies
		"netroot=iscsi:u:S:r:T@10.0.0.1::3260::iqn.2000-01.x:y root=/dev/sda":                        "netroot=iscsi:u:<5>@10.0.0.1::3260::iqn.2000-01.x:y root=/dev/sda",
		"netroot=iscsi:10.0.0.1::::iqn.x":                                                            "",
		"root=cifs:u:a:b@//h/s":                                                                      "root=cifs:u:<3>@//h/s",
		`systemd.setenv=TOKEN=S "console_password=S x" rootpw=S`:                                     `systemd.setenv=TOKEN=<1> "console_password=<3>" rootpw=<1>`,
		"rootflags=username=u,password=S,vers=3 inst.ks=https://u:S@h/ks":                            "rootflags=username=u,password=<1>,vers=3 inst.ks=https://u:<1>@h/ks",
		"": "",
	} {
		if want == "" {
			want = in
		}
		if got := short(New([32]byte{}).KernelLine(in)); got != want {
			t.Errorf("KernelLine(%q) = %q, want %q", in, got, want)
		}
	}
	m := New([32]byte{})
	if got := short(m.Setting("wpa_passphrase", "S3c") + m.Setting("debug", "0") + m.Setting("password", "")); got != "<3>0" || m.Made() != 1 {
		t.Errorf("settings = %q, %d made", got, m.Made())
	}
}

func TestMasksInsideTextsKeepLengthAndDigest(t *testing.T) {
	m := New([32]byte{7})
	alone := strings.TrimPrefix(m.Env([]string{"PASSWORD=S3cretValue9"})[0], "PASSWORD=")
	for _, in := range []string{`{"password":"S3cretValue9"}`, `sh -c "x --token=S3cretValue9"`, `http://u:S3cretValue9@h/`, `X: Bearer S3cretValue9`} {
		want := strings.Replace(in, "S3cretValue9", alone, 1)
		if got := m.Args([]string{"app", in})[1]; got != want {
			t.Errorf("Args(%q) = %q, want %q", in, got, want)
		}
	}
}

// A secret of letters, digits and some marks is never shown, whatever stands
// around the place it is in.
func FuzzMask(f *testing.F) {
	f.Add("S3cretValue9", "x", 0)
	f.Add("a-b.c_d", "'", 3)
	f.Add("Q", "password=", 11)
	f.Fuzz(func(t *testing.T, secret, after string, place int) {
		secret = strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && (inName(byte(r)) || strings.ContainsRune("+%!^*", r)) {
				return r
			}
			return -1
		}, secret)
		if len(secret) > 200 {
			secret = secret[:200]
		}
		secret = "Zq7" + secret + "X9"
		after = strings.NewReplacer("|", "", "\x00", "", "§", "", "Zq7", "").Replace(after)
		places := append(append([]string(nil), argsWith...), envWith...)
		n := int(uint(place) % uint(len(places)))
		line := places[n] + " " + after
		if n < len(argsWith) {
			line = places[n] + "|" + after
		}
		got := maskAll(line, secret, n >= len(argsWith))
		if strings.Contains(got, secret) {
			t.Errorf("%q shows the secret %q: %q", line, secret, got)
		}
		if strings.Contains(got, kept) {
			t.Errorf("%q: a mark is left: %q", line, got)
		}
		if n < len(argsWith) && strings.Count(got, "|") != strings.Count(line, "|") {
			t.Errorf("%q: the number of arguments changed: %q", line, got)
		}
	})
}

// awkward are parts that, repeated, would make a careless search start over at
// each of them.
var awkward = []string{
	"abcdefg ", "=", "password=x ", `password="`, `token=\`, "://", "://a:b@", "Bearer 1", "key:/", "authorization:[masked ", "token= ", `"`, "' ", "a-=", "\\", `"a`, "x@:", "name=value;",
	"<password>", "<password ", "<key>", "<", "<key>password</key>", "%", "%3D", "%253D", "token%3D%22", "%20", "%3A%2F%2F", "%3A%2F%2Fa%3A", "eyJ", "aeyJ", "eyJ.", " eyJ", "AKIA", "%22token%22",
}

// The bound is far from what a text takes (BenchmarkMask128KiB), so that other
// programs of the machine cannot exceed it; a search that starts over does.
func TestLongTextsAreMaskedInLinearTime(t *testing.T) {
	for _, part := range awkward {
		text := strings.Repeat(part, 128<<10/len(part))
		begun := time.Now()
		New([32]byte{}).Args([]string{"app", text})
		New([32]byte{}).Env([]string{"X=" + text})
		if took := time.Since(begun); took > 500*time.Millisecond {
			t.Errorf("128 KiB of %q took %v", part, took)
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

func BenchmarkMask128KiB(b *testing.B) {
	m := New([32]byte{})
	for _, part := range awkward {
		text := strings.Repeat(part, 128<<10/len(part))
		b.Run(fmt.Sprintf("%q", part), func(b *testing.B) {
			for b.Loop() {
				m.Args([]string{"app", text})
			}
		})
	}
}
