// Package wire is what a device and a server say to each other on the channel:
// the messages, their version, their bounds.
//
// A message is a JSON text frame of at most MaxMessage bytes,
//
//	{"v":1,"type":"collect","body":{…}}
//
// whose v is the version of the channel that brought the message in and whose
// body has the fields of the message's Go type. Both lists of messages
// are closed. An unknown type, version or field, a value that its type refuses,
// or trailing data ends the connection with a reason.
//
// What a server may say is the narrower list, and the point of this package: no
// message of it has a field that could carry a path, a pattern, a command, a
// URL or a program. Every text field has a type of its own with a check, and a
// test walks the message types to hold it so. A server, stolen or not, can name
// an action, a profile that the device holds itself, limits that lower the
// device's own, proofs, and a statement that the recovery key signed; nothing else.
//
// # The conversation
//
// The device opens the channel and says hello: the versions it speaks, the
// digest of its catalogue, the last head of the audit log it saw, the attempts
// it has in memory. The server answers welcome, with the version it chose.
//
//	server  collect   do this attempt of this action; here is the proof
//	device  begun     it is in my state file; I have started
//	device  refused   it is not: the proof, the profile or my policy forbids it
//	device  progress  where I am (at most a few a second; the last one counts)
//	device  ended     the attempt ended without a package: failed, lost, cancelled
//	server  cancel    stop the action; what you have is not wanted
//	server  closed    the action has ended for good; forget it and never do it again
//	server  rotate    make yourself another key, when nothing else runs (version 2)
//	server  rebase    the audit log was restored; the recovery key says so (version 3)
//	device  rebased   I go by the restored log, or by the one I know: prove from this head on
//	server  bye       the connection ends, for this reason
//
// The package itself goes by HTTP upload; the server learns of its end from the
// last byte. A collect is repeated until begun, refused or ended answers it, and
// doing so twice does nothing twice.
package wire
