package proc

import (
	"bytes"
	"strings"
)

// IO is /proc/PID/io, in bytes.
type IO struct{ ReadChars, WriteChars, ReadBytes, WriteBytes, CancelledWriteBytes uint64 }

// ParseIO reads /proc/PID/io.
func ParseIO(b []byte) (IO, error) {
	var o IO
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		n, ok := number(bytes.TrimSpace(value))
		if !ok {
			return o, bad("io", line)
		}
		switch string(key) {
		case "rchar":
			o.ReadChars = n
		case "wchar":
			o.WriteChars = n
		case "read_bytes":
			o.ReadBytes = n
		case "write_bytes":
			o.WriteBytes = n
		case "cancelled_write_bytes":
			o.CancelledWriteBytes = n
		}
	}
	return o, nil
}

// EachLimit reads /proc/PID/limits: a table of fixed columns, the name 26 wide,
// the values 21 each.
func EachLimit(b []byte, f func(name, soft, hard []byte)) error {
	first := true
	for line := range bytes.Lines(b) {
		if first { // the heading
			first = false
			continue
		}
		if len(line) < 47 {
			return bad("limits", line)
		}
		soft, rest := word(line[26:])
		hard, _ := word(rest)
		if len(soft) == 0 || len(hard) == 0 {
			return bad("limits", line)
		}
		f(bytes.TrimRight(line[:26], " "), soft, hard)
	}
	return nil
}

// Cgroup is the path that says most in /proc/PID/cgroup: that of version 2
// ("0::/…") unless it is the root, else the longest of version 1.
func Cgroup(b []byte) string {
	best := ""
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		number, rest, _ := bytes.Cut(line, []byte(":"))
		_, path, ok := bytes.Cut(rest, []byte(":"))
		if !ok {
			continue
		}
		if string(number) == "0" && len(path) > 1 {
			return string(path)
		}
		if len(path) > len(best) {
			best = string(path)
		}
	}
	return best
}

// runtimes are the shapes that container runtimes give a cgroup's last parts.
var runtimes = []struct{ prefix, runtime string }{
	{"docker-", "docker"}, {"cri-containerd-", "containerd"}, {"crio-", "cri-o"}, {"libpod-", "podman"},
	{"nerdctl-", "containerd"}, {"buildkit-", "buildkit"},
}

// Container is the container that a cgroup path belongs to: its runtime and id.
// Unknown shapes give "", "": the path is kept beside it.
//
// Known are those of systemd's driver ("docker-<id>.scope",
// "cri-containerd-<id>.scope", "crio-<id>.scope", "libpod-<id>.scope"), of
// cgroupfs ("/docker/<id>", "/kubepods/…/<id>", "/libpod_parent/libpod-<id>"), LXC
// ("/lxc/<name>", "/lxc.payload.<name>") and machined ("machine.slice/machine-<name>.scope").
func Container(cgroup string) (runtime, id string) {
	parts := strings.Split(cgroup, "/")
	for i := len(parts) - 1; i > 0; i-- {
		part, scope := strings.CutSuffix(parts[i], ".scope")
		for _, r := range runtimes {
			if rest, ok := strings.CutPrefix(part, r.prefix); ok && hexID(rest) {
				return r.runtime, rest
			}
		}
		switch parent := parts[i-1]; {
		case hexID(part) && (parent == "docker" || strings.HasPrefix(parent, "docker-") || parent == "actions_job"):
			return "docker", part
		case hexID(part) && strings.Contains(cgroup, "kubepods"):
			return "kubernetes", part
		case hexID(part) && parent == "libpod_parent":
			return "podman", part
		case parent == "lxc" && part != "":
			return "lxc", part
		case strings.HasPrefix(part, "lxc.payload."):
			return "lxc", part[len("lxc.payload."):]
		case scope && parent == "machine.slice" && strings.HasPrefix(part, "machine-"):
			return "machine", unescapeUnit(part[len("machine-"):])
		case parent == "machine.slice" && strings.HasPrefix(part, "systemd-nspawn@"):
			return "machine", unescapeUnit(strings.TrimSuffix(part[len("systemd-nspawn@"):], ".service"))
		}
	}
	return "", ""
}

// hexID reports whether s is a container's id: 64 hex digits, or the 32 of some.
func hexID(s string) bool {
	if len(s) != 64 && len(s) != 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// unescapeUnit undoes systemd's \xNN in a unit's name.
func unescapeUnit(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if n, ok := hex([]byte(s[i+2 : i+4])); ok {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
