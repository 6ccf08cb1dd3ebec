package linux

import "testing"

func TestPrivateFilesAreTold(t *testing.T) {
	for name, want := range map[string]bool{
		"/etc/shadow": true, "/etc/shadow-": true, "/etc/krb5.keytab": true, "/tmp/krb5cc_1000": true, "/etc/ssh/ssh_host_ed25519_key": true,
		"/home/a/.ssh/id_ed25519": true, "/home/a/.ssh/id_ed25519 (deleted)": true, "/etc/ssl/private/web.pem": true, "/srv/ssl/private/web.pem": true, "/run/user/1000/keyring/control": true,
		"/home/a/.gnupg/private-keys-v1.d/X.key": true, "/home/a/.aws/credentials": true, "/home/a/.config/google-chrome/Default/Cookies": true,
		"/home/a/.mozilla/firefox/x/key4.db": true, "/run/secrets/db": true,
		"/etc/ssh/ssh_host_ed25519_key.pub": false, "/home/a/.ssh/id_ed25519.pub": false, "/etc/passwd": false, "/var/lib/mysql/ibdata1": false,
		"/tmp/shadowed": false, "/var/log/keytab.log": false, "/home/a/Cookies": false,
	} {
		if got := privateName(name); got != want {
			t.Errorf("privateName(%q) = %v, want %v", name, got, want)
		}
	}
	for head, want := range map[string]bool{
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl": true, "-----BEGIN RSA PRIVATE KEY-----": true, "text first\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n": true,
		"openssh-key-v1\x00x": true, "PuTTY-User-Key-File-3: ssh-ed25519": true, "\x05\x02\x00\x00\x00\x3f": true,
		"-----BEGIN CERTIFICATE-----\n": false, "-----BEGIN PUBLIC KEY-----\n": false, "\x7fELF": false, "": false,
	} {
		if got := privateBytes([]byte(head)); got != want {
			t.Errorf("privateBytes(%q) = %v, want %v", head, got, want)
		}
	}
}
