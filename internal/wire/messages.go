package wire

import (
	"swab/internal/audit"
	"swab/internal/device"
)

// The versions of the channel that this program speaks, from the lowest to the
// highest. Both sides agree on the highest one that they share:
//
//	1  hello, welcome, collect, begun, refused, progress, ended, cancel, closed, bye, pong
//	2  rotate
//	3  rebase, rebased
const (
	MinVersion = 1
	Version    = 3
)

// Agree is the highest version that a device of a range of versions shares with
// this program; 0 where there is none.
func Agree(versions [2]int) int {
	v := min(versions[1], Version)
	if v < max(versions[0], MinVersion) {
		return 0
	}
	return v
}

// since is the version that brought messages which were not there from the first.
var since = map[string]int{Rotate{}.fromServer(): 2, Rebase{}.fromServer(): 3, Rebased{}.fromDevice(): 3}

// Since is the version of the channel that brought a server's message: it is for
// devices alone that agreed on that version, or on a later one.
func Since(m FromServer) int { return sinceOf(m.fromServer()) }

func sinceOf(kind string) int { return max(since[kind], MinVersion) }

// MaxMessage bounds a frame: 64 KiB.
const MaxMessage = 64 << 10

// FromServer is a message that a server may send.
type FromServer interface {
	fromServer() string
	check() error
}

// FromDevice is a message that a device may send.
type FromDevice interface {
	fromDevice() string
	check() error
}

// Welcome answers a hello.
type Welcome struct {
	Version int `json:"version"` // the one to speak from here on
}

// Collect asks for one attempt of one action.
type Collect struct {
	Action     ActionID `json:"action"`
	Attempt    int      `json:"attempt"` // from 1
	Profile    Name     `json:"profile"`
	Plan       Digest   `json:"plan"`       // of the profile's plan for the device's system
	Commitment Digest   `json:"commitment"` // to who asked and why; the leaf repeats it
	Limits     Limits   `json:"limits"`
	Proof      Proof    `json:"proof"` // that the request is in the log
}

// Cancel stops an action.
type Cancel struct {
	Action ActionID `json:"action"`
}

// Closed says that an action has ended for good, however it ended.
type Closed struct {
	Action ActionID `json:"action"`
}

// Rotate asks the device to make itself another key, which succeeds the present
// one, and to tell of it by a KeyRequest. It says no more than that: the key is the
// device's own.
type Rotate struct{}

// Rebase lets the device go on with an audit log that was restored from a backup,
// though it has seen more of it proved. The statement is one of [audit.Rebase],
// signed by the recovery key, which a server does not have.
type Rebase struct {
	Statement Statement `json:"statement"`
}

// Bye ends the connection.
type Bye struct {
	Reason Reason `json:"reason"`
}

// Hello opens the channel.
type Hello struct {
	Versions [2]int       `json:"versions"` // lowest and highest that the device speaks
	Facts    device.Facts `json:"facts"`
	Catalog  string       `json:"catalog"` // digest of the device's catalogue
	Head     audit.Head   `json:"head"`    // of the audit log, as last seen
	Running  []Running    `json:"running"` // attempts that the agent has in memory, at most MaxRunning
}

// MaxRunning bounds the attempts of one hello.
const MaxRunning = 16

// Running is an attempt that an agent has in memory.
type Running struct {
	Action  ActionID `json:"action"`
	Attempt int      `json:"attempt"`
}

// Begun says that an attempt is in the device's state file and has started.
type Begun struct {
	Action  ActionID   `json:"action"`
	Attempt int        `json:"attempt"`
	Head    audit.Head `json:"head"` // now the device's last
}

// Refused says that an attempt will not be made.
type Refused struct {
	Action  ActionID `json:"action"`
	Attempt int      `json:"attempt"`
	Code    Refusal  `json:"code"`
	Text    string   `json:"text"` // for people, at most 1,024 bytes
}

// Refusal is why a device refuses. The server believes the code, not the text.
type Refusal string

// The refusals.
const (
	RefusedProof   Refusal = "proof"   // the request is not in the log, or the log was rewritten
	RefusedProfile Refusal = "profile" // the device's catalogue has no such plan
	RefusedPolicy  Refusal = "policy"  // the device's own policy forbids it
	RefusedEnded   Refusal = "ended"   // the device knows the action as ended
	RefusedBusy    Refusal = "busy"    // another action runs
)

// Progress says where an attempt is. It may be lost; the next one tells all.
type Progress struct {
	Action  ActionID `json:"action"`
	Attempt int      `json:"attempt"`
	Stage   int      `json:"stage"`   // being collected; MaxStage+1: only the upload is left
	Items   int      `json:"items"`   // done
	Of      int      `json:"of"`      // in the plan
	Bytes   int64    `json:"bytes"`   // of the package, made
	Sent    int64    `json:"sent"`    // of them, acknowledged
	TakenMs int64    `json:"takenMs"` // from begun to all of stage 0 read into memory; 0: not yet
	BegunMs int64    `json:"begunMs"` // from the message's arrival to the state file written
}

// Ended says that an attempt ended without a package.
type Ended struct {
	Action  ActionID `json:"action"`
	Attempt int      `json:"attempt"`
	Code    End      `json:"code"`
	Text    string   `json:"text"` // for people, at most 1,024 bytes
}

// End is how an attempt ended without a package.
type End string

// The ends.
const (
	EndFailed    End = "failed"    // for good: another attempt would fail as well
	EndLost      End = "lost"      // the upload is gone: the next attempt may begin
	EndCancelled End = "cancelled" // as asked
)

// Rebased answers a rebase, taken or refused: it says from which head on the next
// proof has to start.
type Rebased struct {
	Head audit.Head `json:"head"` // now the device's last
	Text string     `json:"text"` // why it was refused, for people, at most 1,024 bytes; "": it was taken
}

// Pong answers nothing: a device sends it now and then where its network would
// close a silent connection sooner than the server pings.
type Pong struct{}

func (Welcome) fromServer() string { return "welcome" }
func (Collect) fromServer() string { return "collect" }
func (Cancel) fromServer() string  { return "cancel" }
func (Closed) fromServer() string  { return "closed" }
func (Rotate) fromServer() string  { return "rotate" }
func (Rebase) fromServer() string  { return "rebase" }
func (Bye) fromServer() string     { return "bye" }

func (Hello) fromDevice() string    { return "hello" }
func (Begun) fromDevice() string    { return "begun" }
func (Refused) fromDevice() string  { return "refused" }
func (Progress) fromDevice() string { return "progress" }
func (Ended) fromDevice() string    { return "ended" }
func (Rebased) fromDevice() string  { return "rebased" }
func (Pong) fromDevice() string     { return "pong" }

// ServerMessages is the closed list of what a server may say.
func ServerMessages() []FromServer {
	return []FromServer{Welcome{}, Collect{}, Cancel{}, Closed{}, Rotate{}, Rebase{}, Bye{}}
}

// DeviceMessages is the closed list of what a device may say.
func DeviceMessages() []FromDevice {
	return []FromDevice{Hello{}, Begun{}, Refused{}, Progress{}, Ended{}, Rebased{}, Pong{}}
}
