// Package store keeps what Swab must not forget: tenants, applications, keys,
// devices, actions, uploads, and the audit log, in an SQL database.
//
// A method is one transaction with one meaning. When it returns nil, what it did
// is committed and flushed, and the audit entries that belong to it are kept with
// it; when it returns an error, none of it happened. There are two exceptions,
// which no store can avoid: a caller whose context ends while its call is under
// way learns that, and a caller whose connection to the database breaks during
// the commit learns that the database is away (fault.Unavailable); in both cases
// the call may still have come to pass. Nothing is then tried again here, and
// asking again has no second effect: a device has one action at a time, an
// attempt one upload, a key one device.
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
// # Lists
//
// A list's filter is a tree (package odata), of which a predicate is made and of
// that SQL; a caller's values are parameters, always. The way to the rows is
// chosen here and not by the database, which can't know how many rows a value
// has (list_plan.go). A list that takes over two seconds is given up, and only
// half of the connections may be busy with lists.
//
// A search of the audit log is such a list. What its entries are searched by is
// in columns beside the leaf and the opening, whose bytes stay what they are. Most
// indexes of them leave out what each collection makes, since an entry costs a
// row in each index that it is in (list_audit.go).
//
// # Device groups
//
// The rules of device groups say which group a device is in (package device).
// Lists are read off where devices and their actions stand (grouping.go), which is
// kept true in the transactions that change devices. A changed rule begins a
// generation; until it is settled (settle.go), rows that it may concern are judged
// by the rules (list_unsettled.go).
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
// # Writing to PostgreSQL
//
// Calls run side by side, each in a transaction of its own (READ COMMITTED), and
// so do those of other nodes. A call that is about to change what it read locks
// it first (dialect.lock), and one that relies on what it read shares it
// (dialect.share). Where the server finds a deadlock or a conflict, or a call
// sees that another one was faster, it is run again from its beginning, a
// bounded number of times. Every wait is bounded, in this process and in the
// server: for a connection, a lock, a statement, a call. PostgreSQL flushes the
// commits of many transactions at once by itself.
//
// Connections are one database's alone: the time limits and locks are those of
// a session, so a pooler in between has to keep sessions whole.
//
// # The audit log
//
// An entry is a row of audit_entries, made in the transaction of the act that it
// records. It becomes a leaf when it has a number in the tenant's tree. The
// tree's hashes (package audit says which) are never changed once they are there,
// and so can be cached and read without a lock.
//
// On SQLite entries are numbered just before the commit of their batch, and no
// reader ever sees one without a leaf. On PostgreSQL numbering in the acts'
// transactions would make them queue for the tree; instead one node numbers what
// was committed, in batches: that whose session holds an advisory lock. The head
// moves by compare-and-swap in the transaction that writes leaves and hashes, so
// that even two that both believed to hold the lock could not both number. Where
// its session ends, another node takes over within a second. It takes the entries
// that have no leaf, in the order of their ids, and so what was answered before
// something else was asked has the lower leaf. After the commit it wakes the
// devices whose requests can now be proved. Commits in its own process tell it of
// entries; other nodes do by NOTIFY, sent beside the acts' transactions and once
// for many; that it looks each second is for the messages that are lost. Head and
// AuditEntries wait for the entries of acts that were answered before them.
package store
