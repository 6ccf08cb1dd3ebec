// Package agent is the device's side of the conversation with a server.
//
// An agent enrols its device once, opens the channel, and waits. When it is
// asked for a package it checks that the request is in the audit log that it
// knows, remembers that, says that it has begun, and then reads the device and
// sends the package while it is made. It is the part of Swab that runs with all
// rights on every machine, so this is what it promises:
//
//   - A server can ask for a collection from the catalogue that the agent itself
//     holds, and for nothing else (package wire). What the owner's settings
//     forbid it can't ask for at all.
//   - No collection without an entry in the audit log: each request brings its
//     proof, checked with the key that was pinned at enrolment, and the log may
//     only grow (package audit). What is not proved is refused and reported.
//   - It opens one file for writing, its state (package state), starts no
//     program, listens on nothing, and goes nowhere but to the server of its
//     settings: no redirect, no URL that a server names.
//   - What it has read is kept in memory until the server has it on disk, two
//     chunks at most. A break of the network is a delay; the end of the agent
//     is the end of its attempt, and the next one begins.
//   - The device's clock may be years off. Nothing that a server judges is dated
//     by it.
//
// # How it is put together
//
// [Agent.Run] keeps one connection; its reader goroutine does what messages
// say, one after another. A collection runs beside it as an attempt, which
// outlives connections: one at a time, each with three goroutines (the package,
// its upload, its progress). Between two connections it puts another key in the
// place of the device's present one, where the server asked for that (key.go).
// Nothing ticks while the agent is idle.
package agent
