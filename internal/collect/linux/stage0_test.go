package linux

import (
	"fmt"
	"testing"

	"swab/internal/collect/host/hosttest"
)

// BenchmarkTwoThousandProcesses reads a tree of files of 2,000 processes with
// ten descriptors each, half of them sockets.
func BenchmarkTwoThousandProcesses(b *testing.B) {
	files := hosttest.Files{"etc/passwd": "root:x:0:0::/:\n", "usr/bin/app": "program", "proc/stat": "btime 1700000000\n"}
	for i := range 2000 {
		dir := fmt.Sprintf("proc/%d/", 10+i)
		files[dir+"stat"] = statOf(10+i, "app", 'S', 1, 0, i)
		files[dir+"status"] = statusText
		files[dir+"cmdline"] = "/usr/bin/app\x00-x\x00"
		files[dir+"environ"] = "PATH=/usr/bin:/bin\x00HOME=/root\x00"
		files[dir+"exe"] = "-> /usr/bin/app"
		files[dir+"cgroup"] = "0::/system.slice/app.service\n"
		files[dir+"maps"] = "1000-2000 r-xp 00000000 fe:01 5 /usr/bin/app\n"
		files[dir+"ns/net"] = "-> net:[4026531840]"
		for fd := range 10 {
			target := fmt.Sprintf("socket:[%d]", 100*i+fd)
			if fd%2 == 0 {
				target = "/dev/null"
			}
			files[fmt.Sprintf("%sfd/%d", dir, fd)] = "-> " + target
			files[fmt.Sprintf("%sfdinfo/%d", dir, fd)] = "pos:\t0\nflags:\t02\nmnt_id:\t9\n"
		}
	}
	h := hosttest.New(b, files)
	b.ReportAllocs()
	for b.Loop() {
		n, err := h.Renew()
		if err != nil {
			b.Fatal(err)
		}
		gather(b, Processes(), n)
		gather(b, Maps(), n)
		gather(b, OpenFiles(), n)
	}
}
