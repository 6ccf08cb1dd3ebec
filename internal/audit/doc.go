// Package audit is the tamper-evident record of what was asked of devices and by
// whom.
//
// There is one log a tenant. It is a Merkle tree (RFC 6962, by package tlog of
// the Go checksum database): entries are leaves, in order; the root hash over
// them, with their number, is the tree's head; a head signed by the log's key is
// a checkpoint. From the tree come two kinds of proof. An inclusion proof shows
// that a leaf is in the tree of a given head. A consistency proof shows that the
// tree of one head is the beginning of the tree of a later one, so that nothing
// which was in it has been changed or taken away.
//
// A device keeps the last head that it saw, and acts only on a request that is
// proved to it: the request's leaf, its inclusion under a checkpoint that the
// pinned key signed, and the consistency of that checkpoint with the head it
// kept. A server that was stolen can therefore not collect without leaving an
// entry, nor show one log to a device and another to an auditor without being
// convicted by the checkpoints that devices and packages hold.
//
// A leaf has an open part, which devices see, and a commitment to the part they
// must not see: who asked, from where, and why may tip off an attacker who owns
// the device. The commitment is SHA-256 over a random salt and the canonical
// JSON of the hidden part. The opening (salt and hidden part) stays with the
// server; a package's manifest repeats the commitment and its receipt opens it.
//
// This package has no I/O: it makes and checks. Package store keeps entries and
// the tree's hashes, and gives the hashes back through tlog.HashReader.
package audit
