package row

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// EntityID is a process's identity across tables and packages of one boot, where
// a pid is used again: SHA-256 over boot id, pid and start in ticks since the
// boot, each followed by a newline, in hex.
func EntityID(boot string, pid int, start uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n", boot, pid, start))
	return hex.EncodeToString(sum[:])
}

// Process is a row of processes. What could not be read is empty, and named in
// Denied with the reason.
type Process struct {
	PID        int       `json:"process.pid" csv:"PID"`
	PPID       Number    `json:"process.parent.pid,omitzero" csv:"Parent PID"` // 0: the kernel made it, or its parent is outside the pid namespace
	Name       string    `json:"process.name" csv:"Name"`                      // the kernel's: at most 15 bytes, and the process may change it
	User       string    `json:"process.user.name,omitzero" csv:"User"`        // of the effective id, by the host's passwd file
	Start      time.Time `json:"process.start,omitzero" csv:"Start" dated:"process start"`
	Executable string    `json:"process.executable,omitzero" csv:"Executable"` // without the kernel's " (deleted)"
	Command    string    `json:"process.command_line,omitzero" csv:"Command Line"`
	Args       []string  `json:"process.args,omitzero" csv:"-"`
	SHA256     string    `json:"process.hash.sha256,omitzero" csv:"SHA-256"` // of the running inode

	// What to look at first.
	ExeDeleted   bool   `json:"swab.exe.deleted,omitzero" csv:"Executable deleted"`
	ExeMemfd     bool   `json:"swab.exe.memfd,omitzero" csv:"Executable in memory"`   // memfd: it never had a file
	ExeReplaced  bool   `json:"swab.exe.replaced,omitzero" csv:"Executable replaced"` // its path leads to another inode now
	KernelThread bool   `json:"swab.kernel_thread,omitzero" csv:"Kernel thread"`      // by the kernel's flag, which no process can set
	Exited       bool   `json:"swab.exited,omitzero" csv:"Exited"`                    // it ended while it was read
	Own          bool   `json:"swab.own,omitzero" csv:"Agent's own"`
	Covered      bool   `json:"swab.covered,omitzero" csv:"Covered"` // something is mounted over its directory in /proc
	Denied       string `json:"swab.denied,omitzero" csv:"Not read"` // fields that could not be read, with why: "environ: permission denied; …"
	EntityID     string `json:"process.entity_id,omitzero" csv:"Entity"`
	ParentEntity string `json:"process.parent.entity_id,omitzero" csv:"Parent entity"` // of the present parent

	State       string    `json:"swab.state,omitzero" csv:"State"` // R, S, D, Z, T, t, I, as ps has them
	Group       Number    `json:"process.group_leader.pid,omitzero" csv:"Process group"`
	Session     Number    `json:"process.session_leader.pid,omitzero" csv:"Session"`
	TTYMajor    uint32    `json:"process.tty.char_device.major,omitzero" csv:"-"`
	TTYMinor    uint32    `json:"process.tty.char_device.minor,omitzero" csv:"-"`
	TTY         string    `json:"swab.tty,omitzero" csv:"Terminal"` // pts/3, tty1, ttyS0, else major:minor
	WorkingDir  string    `json:"process.working_directory,omitzero" csv:"Working directory"`
	Root        string    `json:"swab.root,omitzero" csv:"Root directory"`
	Env         []string  `json:"process.env_vars,omitzero" csv:"Environment"` // secrets masked
	ExeDevice   string    `json:"swab.exe.device,omitzero" csv:"Executable device"`
	ExeInode    uint64    `json:"swab.exe.inode,omitzero" csv:"Executable inode"`
	ExeSize     int64     `json:"swab.exe.size,omitzero" csv:"Executable size"`
	ExeModified time.Time `json:"swab.exe.mtime,omitzero" csv:"Executable modified"`
	HashPartial bool      `json:"swab.exe.hash_partial,omitzero" csv:"Hash partial"` // over 512 MiB: first and last MiB alone

	// Ids are texts, as in other tables: "" where they could not be read.
	EffectiveUID string   `json:"process.user.id,omitzero" csv:"EUID"`
	RealUID      string   `json:"process.real_user.id,omitzero" csv:"UID"`
	RealUser     string   `json:"process.real_user.name,omitzero" csv:"Real user"`
	SavedUID     string   `json:"process.saved_user.id,omitzero" csv:"SUID"`
	FSUID        string   `json:"swab.fs_user.id,omitzero" csv:"FSUID"`
	EffectiveGID string   `json:"process.group.id,omitzero" csv:"EGID"`
	RealGID      string   `json:"process.real_group.id,omitzero" csv:"GID"`
	SavedGID     string   `json:"process.saved_group.id,omitzero" csv:"SGID"`
	FSGID        string   `json:"swab.fs_group.id,omitzero" csv:"FSGID"`
	Groups       []string `json:"process.supplemental_groups.id,omitzero" csv:"Groups"`
	LoginUID     string   `json:"swab.login_user.id,omitzero" csv:"Login UID"` // who logged on, kept through su and sudo; "" when nobody did
	LoginUser    string   `json:"swab.login_user.name,omitzero" csv:"Login user"`
	AuditSession string   `json:"swab.audit_session,omitzero" csv:"Audit session"`

	CapEffective   []string `json:"process.thread.capabilities.effective,omitzero" csv:"-"`
	CapEff         string   `json:"swab.capabilities.effective,omitzero" csv:"CapEff"` // the five sets in hex
	CapPrm         string   `json:"swab.capabilities.permitted,omitzero" csv:"CapPrm"`
	CapBnd         string   `json:"swab.capabilities.bounding,omitzero" csv:"CapBnd"`
	CapInh         string   `json:"swab.capabilities.inheritable,omitzero" csv:"CapInh"`
	CapAmb         string   `json:"swab.capabilities.ambient,omitzero" csv:"CapAmb"`
	Seccomp        string   `json:"swab.seccomp,omitzero" csv:"Seccomp"` // none, strict, filter
	SeccompFilters int      `json:"swab.seccomp_filters,omitzero" csv:"Seccomp filters"`
	NoNewPrivs     bool     `json:"swab.no_new_privs,omitzero" csv:"No new privileges"`
	Tracer         int      `json:"swab.tracer.pid,omitzero" csv:"Traced by"`
	SecurityLabel  string   `json:"swab.security_label,omitzero" csv:"Security label"` // SELinux context or AppArmor profile

	ContainerID      string `json:"container.id,omitzero" csv:"Container"`
	ContainerRuntime string `json:"container.runtime,omitzero" csv:"Container runtime"`
	Cgroup           string `json:"swab.cgroup,omitzero" csv:"Cgroup"`
	NSPID            string `json:"swab.ns_pid,omitzero" csv:"PIDs in namespaces"` // "4711 1": outermost first; "" when in one only
	PIDNS            uint64 `json:"swab.ns.pid,omitzero" csv:"pid namespace"`      // inodes
	NetNS            uint64 `json:"swab.ns.net,omitzero" csv:"net namespace"`
	MntNS            uint64 `json:"swab.ns.mnt,omitzero" csv:"mnt namespace"`
	UserNS           uint64 `json:"swab.ns.user,omitzero" csv:"user namespace"`
	UTSNS            uint64 `json:"swab.ns.uts,omitzero" csv:"uts namespace"`
	IPCNS            uint64 `json:"swab.ns.ipc,omitzero" csv:"ipc namespace"`
	CgroupNS         uint64 `json:"swab.ns.cgroup,omitzero" csv:"cgroup namespace"`
	TimeNS           uint64 `json:"swab.ns.time,omitzero" csv:"time namespace"`

	Threads    int      `json:"swab.threads,omitzero" csv:"Threads"`
	OpenFiles  int      `json:"swab.open_files,omitzero" csv:"Open files"` // descriptors
	Nice       int      `json:"swab.nice,omitzero" csv:"Nice"`
	Priority   int      `json:"swab.priority,omitzero" csv:"Priority"`
	UserMs     uint64   `json:"swab.cpu.user_ms,omitzero" csv:"CPU user ms"`
	SystemMs   uint64   `json:"swab.cpu.system_ms,omitzero" csv:"CPU system ms"`
	RSS        uint64   `json:"swab.memory.rss,omitzero" csv:"Resident bytes"`
	VSize      uint64   `json:"swab.memory.virtual,omitzero" csv:"Virtual bytes"`
	Swap       uint64   `json:"swab.memory.swap,omitzero" csv:"Swapped bytes"`
	ReadChars  uint64   `json:"swab.io.read_chars,omitzero" csv:"Read bytes (all)"` // pipes, caches and sockets too
	WriteChars uint64   `json:"swab.io.write_chars,omitzero" csv:"Written bytes (all)"`
	ReadBytes  uint64   `json:"swab.io.read_bytes,omitzero" csv:"Read bytes (disk)"`
	WriteBytes uint64   `json:"swab.io.write_bytes,omitzero" csv:"Written bytes (disk)"`
	OOMAdjust  int      `json:"swab.oom_score_adj,omitzero" csv:"OOM adjust"`
	WaitsIn    string   `json:"swab.wchan,omitzero" csv:"Waits in"` // kernel function
	Limits     []string `json:"swab.limits,omitzero" csv:"Limits"`  // "Max open files=1024:524288": soft and hard, those of note
	Umask      string   `json:"swab.umask,omitzero" csv:"Umask"`    // octal
}

// Recovered is a row of recovered: the executable of a process whose name is gone
// or that never had one (memfd), or what such a process holds open, whether that
// has a name or not. Each file has one row, however many hold it, also when it was
// not copied: Note then says why.
type Recovered struct {
	PID      int       `json:"process.pid" csv:"PID"`
	Name     string    `json:"process.name" csv:"Name"`
	Via      string    `json:"swab.via" csv:"Through"`                  // the link of the process it was read by: exe, fd/7
	Path     string    `json:"file.path" csv:"Path"`                    // as the kernel names it, without " (deleted)" where it is
	Deleted  bool      `json:"swab.deleted,omitzero" csv:"Deleted"`     // Path leads to it no more, or never did
	Entry    string    `json:"swab.entry,omitzero" csv:"In package"`    // the copy; "" when it was not copied
	Size     int64     `json:"file.size" csv:"Size"`                    // bytes, before it was copied
	SHA256   string    `json:"file.hash.sha256,omitzero" csv:"SHA-256"` // of the whole file; "" of one that was copied in part, or not
	Inode    uint64    `json:"file.inode" csv:"Inode"`
	Device   string    `json:"file.device" csv:"Device"` // major:minor
	Modified time.Time `json:"file.mtime,omitzero" csv:"Modified" dated:"file modified"`
	Changed  time.Time `json:"file.ctime,omitzero" csv:"Changed" dated:"file changed"`
	Created  time.Time `json:"file.created,omitzero" csv:"Created" dated:"file created"`
	Note     string    `json:"swab.note,omitzero" csv:"Note"`
	EntityID string    `json:"process.entity_id" csv:"Entity"` // of the process
}

// Map is a row of maps: a memory map of note, and why it is one.
type Map struct {
	PID      int    `json:"process.pid" csv:"PID"`
	Name     string `json:"process.name" csv:"Name"`
	Why      string `json:"swab.why" csv:"Why"`         // "writable and executable", "deleted", "memory file", "replaced", "executable without a file"; several joined by ", "
	Start    string `json:"swab.map.start" csv:"Start"` // hex
	End      string `json:"swab.map.end" csv:"End"`
	Size     uint64 `json:"swab.map.size" csv:"Size"`
	Perms    string `json:"swab.map.permissions" csv:"Permissions"` // rwxp, as the kernel has them
	Offset   uint64 `json:"swab.map.offset,omitzero" csv:"Offset"`
	Path     string `json:"file.path,omitzero" csv:"Path"`
	Device   string `json:"file.device,omitzero" csv:"Device"` // major:minor
	Inode    uint64 `json:"file.inode,omitzero" csv:"Inode"`
	Present  uint64 `json:"swab.map.present_inode,omitzero" csv:"Present inode"` // that the path leads to now, where it is another
	Own      bool   `json:"swab.own,omitzero" csv:"Agent's own"`
	EntityID string `json:"process.entity_id" csv:"Entity"`
}

// OpenFile is a row of open_files: one descriptor of one process.
type OpenFile struct {
	PID      int    `json:"process.pid" csv:"PID"`
	Name     string `json:"process.name" csv:"Name"`
	FD       int32  `json:"swab.fd" csv:"FD"`
	Kind     string `json:"file.type" csv:"Kind"` // file, directory, character device, block device, fifo, socket, pipe, anon, memfd, other
	Target   string `json:"file.path" csv:"Target"`
	Access   string `json:"swab.fd.access,omitzero" csv:"Access"` // r, w, rw, then a: appending; path; "" of sockets
	Deleted  bool   `json:"swab.deleted,omitzero" csv:"Deleted"`
	Size     int64  `json:"file.size,omitzero" csv:"Size"`
	Position int64  `json:"swab.fd.position,omitzero" csv:"Position"`
	Inode    uint64 `json:"file.inode,omitzero" csv:"Inode"`
	Device   string `json:"file.device,omitzero" csv:"Device"`
	Links    uint64 `json:"swab.links,omitzero" csv:"Links"`
	Owner    string `json:"file.uid,omitzero" csv:"Owner UID"`
	Flags    string `json:"swab.fd.flags,omitzero" csv:"Flags"` // octal, as open(2) took them
	Mount    int    `json:"swab.fd.mount_id,omitzero" csv:"Mount id"`
	Locks    int    `json:"swab.fd.locks,omitzero" csv:"Locks"`
	Detail   string `json:"swab.fd.detail,omitzero" csv:"Detail"` // what is special of its kind: eventfd count, inotify watches, pid of a pidfd
	Own      bool   `json:"swab.own,omitzero" csv:"Agent's own"`
	EntityID string `json:"process.entity_id" csv:"Entity"`
}

// Agent is a row of agent: one thing on the device that is the agent's own, so
// that nobody takes it for the intruder's.
type Agent struct {
	Kind   string `json:"swab.agent.kind" csv:"Kind"` // process, executable, state file, connection, file
	Name   string `json:"swab.agent.name" csv:"Name"` // pid, path, socket
	Detail string `json:"swab.agent.detail,omitzero" csv:"Detail"`
	PID    int    `json:"process.pid,omitzero" csv:"PID"`
	SHA256 string `json:"file.hash.sha256,omitzero" csv:"SHA-256"`
	Inode  uint64 `json:"file.inode,omitzero" csv:"Inode"`
	FD     int32  `json:"swab.fd,omitzero" csv:"FD"`
}
