// Package vault is where packages lie: the bytes that devices upload, from the
// first chunk to the sealed file.
//
// # What it promises
//
// A byte that was acknowledged is on disk: a chunk is written, flushed, and only
// then does the record's offset move. Bytes past the offset were never
// acknowledged and are cut when the upload goes on. An upload has one writer;
// a newer one takes over from it. Everything in an upload was checked before it
// can be sealed: a reader of the package format follows the flushed bytes while
// the rest still arrives, so that sealing costs no second pass; after a restart
// it starts over with what is stored. A sealed package is read-only, lies under
// its action's name and never changes again.
//
// # States
//
//	Receiving ──last byte──▶ Complete ──verified──▶ Sealed
//	    │                        ├──not verified──▶ Quarantined
//	    ├──its attempt died──────┴────────────────▶ Partial
//	    └──cancelled, expired: from any state─────▶ Deleted
//
// The record says where an upload stands and the bytes follow or precede it by
// one step, so each move can be repeated after a crash: bytes are in their final
// place before the record says so. Expiry is the other way about, since its entry in
// the audit log has to come before the loss: the record says Deleted first, and a
// note in the folder expiring has the bytes found that a crash left.
//
// # On disk
//
//	uploads/ID.part            receiving, complete, partial
//	packages/TENANT/ACTION.zip sealed, mode 0400
//	quarantine/ID.zip          did not verify, mode 0400
//	expiring/ID.STATE          a note: these bytes are about to be deleted
//
// Names, limits and hashes are made here; only the type directory knows that
// the bytes are files. Another back end takes its place and nothing else.
package vault
