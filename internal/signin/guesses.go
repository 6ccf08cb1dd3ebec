package signin

import (
	"sync"
	"time"

	"swab/internal/auth"
	"swab/internal/limit"
)

// How often one may fail, and come in.
const (
	perPair    = 10 // passwords a minute, of one account from one network, or from one browser that is known
	perAccount = 30 // from all networks
	perKnown   = 20 // from all browsers that are known for the account
	perNetwork = 60 // of all accounts
	perCodes   = 5  // one-time codes of one account a minute,
	perHour    = 15 // and an hour: there are a million of them, and three are right
	perRight   = 20 // right passwords of one account a minute: each takes a hash, too
	perNew     = 10 // passwords of one account a minute that are to be its new one
	atOnce     = 2  // passwords of one account that are looked at or wait for it
)

// claim is whose sign-in an attempt says it is. What is counted by account is so
// for browsers that are known and for others apart, so that these take nothing
// from those; and for names of nobody apart from people, for anybody can make up
// names.
type claim struct {
	kind   string // what each kind of guess begins with
	tenant string
	who    string // a person's id, or the name of nobody
	known  string // id of the browser; "" for one that is not known
}

func (d *Desk) claim(tenant, principal, cookie string, p auth.Person, c auth.Credential) claim {
	if p.ID == "" {
		return claim{kind: "stranger", tenant: tenant, who: principal}
	}
	if known := d.known(cookie, p, c); known != "" {
		return claim{"known", tenant, p.ID, known}
	}
	return claim{kind: "person", tenant: tenant, who: p.ID}
}

// passwords are what bounds the wrong passwords from an address.
func (c claim) passwords(from string) []limit.Allowance {
	if c.known != "" {
		return []limit.Allowance{
			{Kind: "known browser", Of: []string{c.tenant, c.who, c.known}, Most: perPair, Per: time.Minute},
			c.allowance("passwords", perKnown, time.Minute),
		}
	}
	network := limit.Network(from)
	return []limit.Allowance{
		{Kind: c.kind + " pair", Of: []string{c.tenant, c.who, network}, Most: perPair, Per: time.Minute},
		c.allowance("passwords", perAccount, time.Minute),
		{Kind: "network", Of: []string{network}, Most: perNetwork, Per: time.Minute},
	}
}

// codes are what bounds the wrong codes of the second step.
func (c claim) codes() []limit.Allowance {
	return []limit.Allowance{c.allowance("codes", perCodes, time.Minute), c.allowance("codes", perHour, time.Hour)}
}

// allowance is one of the account as a whole.
func (c claim) allowance(of string, most int, per time.Duration) limit.Allowance {
	return limit.Allowance{Kind: c.kind + " " + of, Of: []string{c.tenant, c.who}, Most: most, Per: per}
}

// counters count who has a password looked at right now, so that one account takes
// no more than its part of the queue.
type counters struct {
	mu sync.Mutex
	at map[claim]int // none is 0
}

// enter counts one until leave is called. Who has as many there as may be is a
// *[limit.Exceeded].
func (q *counters) enter(c claim) (leave func(), err error) {
	c.known = "" // all of an account's are one
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at[c] >= atOnce {
		return nil, &limit.Exceeded{Calls: atOnce, Per: "at once", API: "sign-in of one account", Retry: time.Second}
	}
	q.at[c]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.at[c]--; q.at[c] == 0 {
			delete(q.at, c)
		}
	}, nil
}
