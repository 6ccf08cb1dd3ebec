// Package signin is how people sign in: by password and one-time code, in a
// browser, and through the browser to applications, by authorization code or
// device code, with refresh tokens after that.
//
// It knows no HTTP and no pages. A door (package issuer) reads what was sent,
// hands it to the [Desk], and shows or answers what comes of it.
//
// # Two kinds of sign-in
//
// A [Session] is one sign-in. That of a browser is known by a cookie of 256
// random bits, of which the hash is kept; it ends 8 hours after its last use and
// 24 hours after it began. Each sign-in makes a new one, so that a cookie which
// somebody planted beforehand is worth nothing. That of an application began from
// a browser's session, by a code; its access tokens are worth nothing once it has
// ended (auth.Tokens asks for it at each request), and refresh tokens keep it
// alive, 90 days from one to the next. Its person and administrators see and end
// both kinds. One who is disabled, or whose password was changed, is signed in
// nowhere.
//
// # What is used once
//
// Authorization codes, device codes and refresh tokens are 256 random bits, kept
// as a hash, and good once. A code is used up by the first try of the application
// that it was made for, right or wrong. A second use says that somebody else has
// it too: the sign-in that came of the first is ended, and that is an entry. For
// refresh tokens there is no grace, as RFC 9700 (section 4.14.2) has it: whether
// it was the thief or the owner who came second can't be told. A client that lost
// an answer, or sends one token from two processes at once, has its person sign in
// again.
//
// Codes and tokens are looked at in one transaction with what comes of them, so
// that of two who present the same one, on whatever nodes, one is second.
//
// # Guessing
//
// A password is looked at by Argon2, a bounded number at once (package
// credential). Failures are counted by account and network, by account over all
// networks, and by network over all accounts, before the password is looked at.
// The second of those would let a stranger lock a person out: so the browsers in
// which the person signed in within 30 days, which a signed cookie says, have
// allowances of their own, all of an account together, and are bounded by no
// others; their passwords are looked at in a queue of their own, so that a flood
// does not keep people out either. The cookie says nothing any more once the
// person's password or second step is another.
//
// Right passwords take a hash, too: one account has so many a minute, and two at
// once. So nobody fills a queue by signing in again and again.
//
// Each kind of count has a memory of its own, which forgets nothing that counts
// (limit.Guesses). Whoever doesn't exist, is disabled, or has no password is
// answered in the same words and in the same time as one whose password is another.
//
// # Audit
//
// A sign-in is an entry, in the transaction that begins it. Failures are entries
// too, but not in the guesser's time: they are written within a second, of one
// account ten a minute one by one, the others as a sum (see refusals.go).
package signin
