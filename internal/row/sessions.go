package row

import (
	"net/netip"
	"time"
)

// Session is a row of sessions: someone who is logged on, as one source has it.
// The sources are not merged: where they differ, that is a finding.
type Session struct {
	User       string     `json:"user.name,omitzero" csv:"User"`
	UID        string     `json:"user.id,omitzero" csv:"UID"`
	ID         string     `json:"swab.session.id,omitzero" csv:"Session"`
	Terminal   string     `json:"swab.session.terminal,omitzero" csv:"Terminal"` // tty, pts/0, :0
	RemoteHost string     `json:"source.domain,omitzero" csv:"From"`             // as the source has it, a name or an address
	RemoteIP   netip.Addr `json:"source.ip,omitzero" csv:"From address"`
	RemoteUser string     `json:"source.user.name,omitzero" csv:"From user"`
	Start      time.Time  `json:"swab.session.start,omitzero" csv:"Start" dated:"session start"`
	State      string     `json:"swab.session.state,omitzero" csv:"State"` // active, online, closing, lingering; of utmp: the record's type
	Type       string     `json:"swab.session.type,omitzero" csv:"Type"`   // tty, x11, wayland, unspecified
	Class      string     `json:"swab.session.class,omitzero" csv:"Class"` // user, greeter, background
	Service    string     `json:"swab.session.service,omitzero" csv:"Service"`
	Seat       string     `json:"swab.session.seat,omitzero" csv:"Seat"`
	Leader     int        `json:"process.pid,omitzero" csv:"Leader PID"`
	Process    string     `json:"process.name,omitzero" csv:"Leader"`
	EntityID   string     `json:"process.entity_id,omitzero" csv:"Process entity"`
	Alive      Answer     `json:"swab.session.leader_runs,omitzero" csv:"Leader runs"` // no: the process that opened the session is gone; "" where none is named, or /proc does not tell
	Sessions   []string   `json:"swab.session.of_user,omitzero" csv:"Sessions of user"`
	Derived    bool       `json:"swab.derived,omitzero" csv:"Derived"` // put together from processes, since neither logind nor utmp tells of it
	Processes  int        `json:"swab.session.processes,omitzero" csv:"Processes"`
	Source     string     `json:"swab.source" csv:"Source"` // file that it was read from
	Note       string     `json:"swab.note,omitzero" csv:"Note"`
}
