// Package store keeps what Swab must not forget: tenants, applications, keys,
// devices, actions, uploads, and the audit log, in an SQL database.
//
// A method is one transaction with one meaning. When it returns nil, what it did
// is committed and flushed, and the audit entries that belong to it are in the
// tenant's log; when it returns an error, none of it happened. There is one
// exception, which no store can avoid: a caller whose context ends while its
// call is under way learns that, and the call may still come to pass.
//
// # One set of queries
//
// The queries are written once, in the words that SQLite and PostgreSQL share
// (ON CONFLICT, partial indexes, "?" for a parameter); a dialect holds what
// differs. Times are integers of 100 ns, lists that nothing searches are JSON
// text, and neither database's own types for those are used. Every query but a
// few has a tenant, taken from a token or from a device's key: what belongs to
// another tenant is not found, in the same words as what does not exist.
//
// # Writing to SQLite
//
// SQLite has one writer at a time, and what takes time is the flush, not the
// write. So one goroutine owns the connection that writes, and gathers what is
// waiting into a batch: one transaction with one flush, in which each call is a
// savepoint of its own. A call that fails, or panics, is rolled back to its
// savepoint and fails alone. Nobody is answered before the commit; if that does
// not succeed, every call of the batch fails, with fault.Unavailable. A lone
// call is a batch by itself and waits for nothing.
//
// Readers have connections of their own, can't write, and see only what is
// committed.
//
// # The audit log
//
// An entry is a row of audit_entries, made in the transaction of the act that it
// records. It becomes a leaf when it has a number in the tenant's tree: here
// just before the commit of its batch, so that no reader ever sees an entry
// without a leaf. The tree's hashes (package audit says which) are never changed
// once they are there, and so can be cached and read without a lock.
package store
