package linux

import (
	"bytes"
	"path"
	"strings"
)

// What is never taken from a device, wherever it is met: password hashes, private
// keys, tickets, stores of cookies and passwords. They are told by their names
// and, since a name says nothing sure, by their first bytes.

// privateNames are patterns of path.Match for a file's name.
var privateNames = strings.Fields("shadow shadow- gshadow gshadow- shadow.* opasswd *.keytab krb5.keytab krb5cc* krb5cc_* " +
	"ssh_host_*_key id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk identity *.ppk *.p12 *.pfx *.jks *.kdbx *.key *.keyring " +
	"*-privkey.pem privkey*.pem cookies.sqlite* logins.json key3.db key4.db")

// privateFolders are folders of which nothing is taken.
var privateFolders = []string{
	"/ssl/private/", "/tls/private/", "/.gnupg/private-keys-v1.d/", "/.local/share/keyrings/", "/etc/NetworkManager/system-connections/",
	"/etc/wireguard/", "/var/lib/sss/secrets/", "/keyring/", "/.aws/credentials", "/.kube/config", "/.docker/config.json",
	"/etc/kubernetes/pki/", "/var/run/secrets/", "/run/secrets/",
}

// privateName says whether a path names a file that is never taken. Browsers'
// stores have no ending: their folder and name together tell.
func privateName(name string) bool {
	name = strings.TrimSuffix(name, deletedMark)
	base := path.Base(name)
	for _, pattern := range privateNames {
		if ok, _ := path.Match(pattern, base); ok {
			return true
		}
	}
	for _, f := range privateFolders {
		if strings.Contains(name, f) || strings.HasSuffix(name, strings.TrimSuffix(f, "/")) {
			return true
		}
	}
	browser := strings.Contains(name, "/google-chrome") || strings.Contains(name, "/chromium") || strings.Contains(name, "/BraveSoftware") || strings.Contains(name, "/microsoft-edge")
	return browser && (base == "Cookies" || strings.HasPrefix(base, "Login Data"))
}

// privateHead is how much of a file privateBytes looks at.
const privateHead = 512

// privateBytes says whether a file's first bytes are those of a private key or a
// keytab.
func privateBytes(head []byte) bool {
	if i := bytes.Index(head, []byte("-----BEGIN ")); i >= 0 {
		line, _, _ := bytes.Cut(head[i:], []byte("\n"))
		if bytes.Contains(line, []byte("PRIVATE KEY")) {
			return true
		}
	}
	return bytes.HasPrefix(head, []byte("openssh-key-v1\x00")) || bytes.HasPrefix(head, []byte("PuTTY-User-Key-File-")) ||
		bytes.HasPrefix(head, []byte("SSH PRIVATE KEY FILE FORMAT")) || bytes.HasPrefix(head, []byte{0x05, 0x02, 0x00, 0x00}) // a keytab
}
