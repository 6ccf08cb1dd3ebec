// Package credential is what a person proves themselves by: a password, the code
// of an authenticator app, a recovery code, and the code by which they tell a
// device that it is theirs. It makes them, checks them and says how they are
// kept. It keeps nothing itself, knows no accounts, and counts no guesses.
//
//	             shown             kept as                    bits   checked by
//	password     by its owner      Argon2id, PHC string       -      [Hasher.Verify]
//	initial one  once              the same                   89     the same
//	TOTP         once, as QR code  20 bytes, under a key      160    [TOTP.Verify], once a step
//	recovery     once, ten         SHA-256                    79     [MatchRecovery], once each
//	user code    on the device     as it is, some minutes     34     [ParseUserCode], then a look-up
//
// # Passwords
//
// A person chooses a password badly, so two things are done about it. What is
// kept is made dear to guess at: Argon2id (RFC 9106) goes over 19 MiB of memory
// twice for each guess, with a salt of its own, so that a thief of the database
// pays for every guess at every account. And [CheckPassword] refuses what is
// guessed first. It asks for 12 characters, for a text without the user name,
// and for none of the shapes that guessers try: one piece over and over,
// sequences and walks over a keyboard, digits alone, one or two common words with
// digits and signs around them. It asks for no kinds of characters and no
// changes by the calendar (NIST SP 800-63B advises against both).
//
// A password may have 1,024 bytes, of any script. It is hashed, and counted, in
// Unicode's composed form (NFC, as RFC 8265 has it for passwords), because one
// keyboard sends é as one character and another as two. Nothing else is changed:
// capital letters and blanks count.
//
// Hashes are kept as text in the PHC string format, with what they cost. So the
// cost can be raised later: Verify says which hashes are of another cost, and the
// door makes them again while it has the password. Who can write to the database
// chooses that text too. It is read strictly, byte for byte as it would be
// written, and a cost beyond 64 MiB, 8 passes and one lane is refused.
//
// # A flood of guesses
//
// What is dear for the thief is dear for the server. A [Hasher] runs one hash, on
// more than two cores two, at once. Up to 512 wait, each for a second at most, then
// they are refused with a [*Busy]. It is fault.Unavailable and not TooMany: the
// server is at its end, not the caller at a limit; he may have asked once. What
// slows down one guesser, by account and address, is package limit's and comes
// before.
//
// To refuse at once those for whom there will be no turn was worse: 64 guessers came
// again 2,500 times a second, and a machine looked at by the API beside them took
// 125 ms at p99, against 9 ms since they wait (two cores that did other things too).
//
// golang.org/x/crypto takes new memory for each hash and allows no reuse
// (golang/go#36634). So what lives is 19 MiB a turn; the collector adds what it
// has not taken yet. In a process with an empty heap, 64 guessers made the heap
// grow by 38 to 58 MiB with one turn and by 76 to 114 MiB with two: at most three
// blocks a turn, however many guess. In one with 100 MiB of other objects it
// grew by these 100 MiB, which is the collector's usual slack, and four blocks a
// turn. To force a collection after each hash would save some of that, and cost a
// walk over all that lives. A hash takes some 17 ms of one core of an AMD EPYC.
//
// # Who is told what
//
// An account that doesn't exist costs a guess as much as one that does:
// [Hasher.Decoy] is a Verify against a hash of no password. All comparisons take
// the same time wherever the first difference is. A [Clear] and a [TOTP] print as
// ***, in whatever is logged or encoded in passing.
//
// # Codes of an app
//
// TOTP is RFC 6238 as every app has it: SHA-1, 6 digits, 30 seconds, and a clock
// that may be off by one step. Each step's code is taken once. For that Verify has
// to say which step a code was of, and to look for it in constant time.
// github.com/pquerna/otp (v1.5.0) says only yes or no, at the first that fits, and
// what would be left of it for us is an HMAC and a remainder. So that much is our
// own, held by the RFC's vectors. The QR code is not: github.com/boombuler/barcode
// is kept up, needs no other module, and picks the mask that reads best. rsc.io/qr
// is of 2018 and always takes the first.
//
// # Codes that people type
//
// Recovery codes and initial passwords are of letters and digits that are not
// taken for one another, user codes of the 20 consonants that RFC 8628 names.
// Codes are read without blanks, dashes and capital letters; a password is not
// a code, and is read as it is. A recovery code's hash needs neither salt nor
// cost: at 79 random bits there is nothing to guess.
package credential
