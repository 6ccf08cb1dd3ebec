// Package host is how collectors see a device: the one place that makes system
// calls for them, and the rules that keep a hostile device from harming the
// agent or the agent from harming the evidence.
//
// A [Host] is either the running system ([Live]) or a directory that holds
// `proc/`, `sys/`, `etc/` and so on ([Fixture]), so that a collector is tested
// on a tree of files. It has three trees: Root (the file system), Proc and Sys.
//
// A [Tree] is a directory handle; every name is read relative to it and never
// leads out of it. It is not an fs.FS: names on a disk are bytes, not valid
// UTF-8 (fs.FS refuses them, an attacker uses them), and evidence wants the
// whole of statx. What the trees promise:
//
//   - Only regular files are opened. A name is opened as a path (O_PATH), looked
//     at, and only a regular file is reopened for reading: a FIFO, a device or a
//     socket planted under a well-known name does nothing.
//   - Symbolic links resolve inside the tree (openat2, RESOLVE_IN_ROOT); magic
//     links of procfs are followed only by [Tree.OpenLink], which says so.
//   - Access times stay as they were (O_NOATIME); where the kernel refuses that,
//     [File.ATimeTouched] says so.
//   - Every read has a bound, and says by [ErrTruncated] that it met it.
//   - Files of network and FUSE file systems are not opened ([ErrRemote]).
//   - What may block for ever runs under [Patience]: it is abandoned after its
//     time, at most eight times.
//   - A process is read through a handle on its directory ([Tree.Sub]): when the
//     process ends the kernel answers ESRCH, and a new process with the old pid
//     is never mixed in.
//
// On Linux the live procfs is a detached mount of the agent's own (fsopen,
// kernel 5.2, CAP_SYS_ADMIN): no mount over `/proc/1234` hides anything from it.
// Where that can't be had `/proc` serves, and [Host.View] says which it was.
package host
