// Package keys holds the server's named keys: made at the first start, sealed
// under a master key, and opened when the server starts.
//
// Each key has one purpose and no purpose shares a key, so that a signature or
// a MAC made for one thing is worth nothing for another. A [Record] is a key as
// the store keeps it: the private half is sealed with AES-256-GCM under the
// master key, bound to the record's purpose and id, so that whoever has the
// database alone has no key, and whoever can write to it can't put one key in
// the place of another. The master key lies in a file of its own or comes from
// the environment (see [Master]); it is never in the database or a backup of it.
//
// A key is in use from From until To. After To it signs no more but still
// verifies: tokens for [TokenOverlap], links and nonces for [Recent], receipts
// and checkpoints for ever. So a key may be succeeded while the server runs, by
// adding a record; Record.Succeed has room for the statement by which the old
// key names the new. A key that ends where it began was withdrawn: it verifies
// nothing, which is what a key that was stolen deserves.
//
// The key of access tokens is succeeded by schedule ([Ring.Tend]) and by hand
// ([Ring.SucceedTokens]). The next key is published some time before it signs,
// so that other nodes, and whoever keeps the key document in a cache, know it by
// then. Several nodes may try at once: the store lets one of them.
//
// The recovery key is the exception: its private half is handed out once, when
// it is made, and only the public half is kept.
package keys
