// Package collect runs collectors and makes packages of what they find.
//
// A plan names items; a [Collector] gathers one. [Package] runs the plan's
// stages in the order of volatility (RFC 3227), the collectors of a stage all at
// once, and streams the package out while it is made: nothing is written to the device.
//
// What it promises:
//
//   - Each item of the plan ends in exactly one line of the ledger, whatever
//     becomes of its collector: it returns, it fails, it panics, its time runs out, it hangs in
//     the kernel, there is none for this system.
//   - A collector is fenced: it has its time, its bytes, and a recover. One that
//     hangs is left behind, and the package ends all the same. Waiting for a slow
//     upload is not counted against anybody.
//   - Hashes and copies wait until every collector of the stage has its volatile
//     rows ([Sink.Taken]), for a second at most: what takes long delays nothing that
//     will be gone, and one slow collector does not let the others' finds go.
//   - A package that is cancelled is not finished: its bytes end where they are.
package collect
