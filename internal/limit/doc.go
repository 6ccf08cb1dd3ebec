// Package limit is the arithmetic of rate limits: how many calls of one API a
// caller may make within any minute and within any hour, over all nodes of an
// installation.
//
// A limit is a sliding window. A call at time t is taken if fewer than N calls
// were taken within (t-W, t], for both windows at once; a call that is refused
// does not count, whatever a taken one comes to does. The refusal says after how
// many whole seconds a call would be taken.
//
// # Holds
//
// A node may not take a call that another node could take as well, and may not
// forget by a restart what it took. So budget is written down before it is used,
// in steps: a hold says that its holder may take so many calls until a moment at
// most [Hold] ahead. All holds of one key (tenant, caller, API) stand in one
// ledger, which is changed by one transaction at a time. A step is a tenth of
// the smaller limit, at most 10 calls; of a limit of 2 a minute it is 1.
//
// A holder is one memory of one key: a node's, from the time it first needed the
// key until it crashed or forgot it. It knows its own calls exactly. To get a
// step, it opens the ledger and, for each window, adds up
//
//	its own calls within the window, from memory
//	+ the calls of all holds of others whose last moment is not a window ago
//
// and takes as much of a step as the smaller remainder of the two allows: none
// means 429. In the same transaction it replaces its own holds by what it has
// really used and the new step, and drops what is older than an hour.
//
// # Why a limit is never exceeded
//
// Look at a window, and add up the calls that were taken within it and those
// that open holds still allow. A call under a hold moves one from the second
// part to the first; time only takes away. The sum grows by a new step alone,
// and the transaction adds one only where the sum, as the ledger has it, stays
// within the limit. The ledger's sum is never less than the true one: the
// holder's own calls are exact, and another's hold counts in full, each of its
// calls as if made at the hold's last moment.
//
// # What it costs to be sure
//
// On one node a decision is exact to the call, since a holder's own calls are.
// Where nodes share a key, an open hold of another counts as used, and its calls
// as the latest they can be: a caller may be refused up to a step a node early.
// Used holds are gathered by the second, those older than a minute by the
// minute, so that a ledger stays small; that is within the same allowance. A
// node that dies leaves at most a step, which ends a Hold and a window later at
// the latest. So nobody is refused for longer than a window and a Hold.
//
// # Clocks
//
// The moments in a ledger are of one clock that all nodes share, the
// database's; it is read within the transaction. Within a node time is counted
// by a steady clock, and each moment is brought from one to the other as the
// later of the two that it can be. A node whose clock is put an hour forth or
// back, or whose machine sleeps, is therefore no exception to anything above. If
// the database's clock is put back, what then lies in the future is brought
// within reach, so that the longest refusal stays what it is; if it is put
// forward, that is time that passed, as far as other nodes and the next start
// can tell.
//
// # Bounds
//
// A limiter remembers a bounded number of keys and calls. What was used least
// lately is forgotten first, as if the holder had died: the ledger still knows
// it. Where a ledger can't be changed nothing is taken, and the caller is told
// that the server is unavailable: a limit that ends when the database is slow
// would be none.
package limit
