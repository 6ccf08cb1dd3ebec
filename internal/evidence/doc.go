// Package evidence is the package format: what writes an investigation package,
// what checks it, what judges it, and what reads it afterwards. The format itself
// is described in docs/package-format.md, from which a reader can be written
// without this code; here is why it is as it is, and where each thing is done.
//
// # What a package has to be
//
// A package is what is left of a moment on a device. The device may belong to an
// attacker, the line may break, the server may be stolen, and the person who
// opens it in three years may have nothing but an old unzip. So a package
//
//   - opens with every ZIP tool, and explains itself (README.txt is its first entry);
//   - is written forwards, by a device that has neither the disk nor the memory
//     to hold it, and is checked forwards, by a server that reads each byte once;
//   - accounts for every byte, and for everything that is not in it;
//   - proves which key signed it, and claims no more than that.
//
// # Writing: one ZIP, many hands
//
// Collectors run side by side; a ZIP is one line of bytes. [Writer] settles who
// writes when. Every open entry compresses into memory of its own, 64 KiB by
// 64 KiB through the one compressor that they share (body.go). An entry that ends
// small is handed over whole, its sizes in its local header. One that outgrows
// its memory takes the ZIP for itself and goes on writing straight into it, a
// descriptor following its data. While it has the ZIP, another that needs it
// either waits, if the owner is an original, or takes it away, if the owner is a
// table: a table can end its entry after any row and go on in another part,
// name.2.jsonl, so that a collector that stands still stops nobody. All that
// entries hold together is bounded, and so nothing is lost and nothing grows.
//
// A [Table] writes each row twice, as JSON Lines and as CSV, by a plan that is
// made once for the row's type (rows.go). What a device says in a row can be
// meant to hurt its reader: text.go keeps all of it, in a form in which it does
// nothing. Names of entries come from the device as well: names.go makes them
// valid on every system, unique without regard to case, and reversible.
//
// Given a clock and the same calls in the same order, the same bytes come out:
// testdata keeps a package to compare with, which is also the first test vector
// for any other reader.
//
// # Checking: forwards, and by comparison
//
// A ZIP can be read from its front, entry by entry, or from its end, by its
// central directory; a file can be made that shows one thing to the one and
// another to the other. A package is valid only if both see the same: entries
// that touch, listed in order, nothing between, nothing behind. The checker does
// not look for what might be wrong with a header. It makes the header that our
// writer would have written for the values it reads (container.go) and compares
// the bytes; for JSON, package canon does the same. What is not equal is told.
//
// [Checker] does this as chunks arrive. It keeps hashes, and the few entries that
// the account is made of, and inflates under [Limits]; so a bomb, a million
// entries or a cut line cost it bounded memory and time. The account is judged
// at the end (account.go): the manifest lists exactly the entries that are there,
// in their order; the envelope signs the manifest, by the key that ends the chain
// of the device's keys, which begins at the key whose hash is the device's id;
// the plan's hash is the one the manifest names, and each of its items has
// exactly one line in the ledger.
//
// # Judging: what a package can't say of itself
//
// All of that a forger can do as well, with a key of the forger's own. A package
// that is whole in itself is [Intact], and no more. [Authentic] takes something
// from elsewhere: the device's id, or a receipt signed by a server that the
// verifier trusts. Nor may the package say what it had to account for: its plan
// counts only if a trusted receipt names its digest, or a release of Swab had it.
// [Report.Judge] holds a report against a [Trust], and says in one sentence what
// the package is and the first thing that is wrong.
//
// # Reading
//
// [Open], [Package.Rows], [Extract] and [Salvage] read packages, also those that
// do not verify and those that were cut off, because half of the evidence is
// evidence. They prove nothing, take no name for a path, and have the same limits.
package evidence
