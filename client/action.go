package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// The statuses of an action. The last four are ends.
const (
	Pending    = "Pending"
	InProgress = "InProgress"
	Succeeded  = "Succeeded"
	Failed     = "Failed"
	TimeOut    = "TimeOut"
	Cancelled  = "Cancelled"
)

// Action is a request for one package of one device.
type Action struct {
	ID                  string    `json:"id"`
	Type                string    `json:"type"`
	Status              string    `json:"status"`
	MachineID           string    `json:"machineId"`
	MachineName         string    `json:"computerDnsName"`
	Requestor           string    `json:"requestor"`
	Comment             string    `json:"requestorComment"`
	Source              string    `json:"requestSource"`
	Created             time.Time `json:"creationDateTimeUtc"`
	Updated             time.Time `json:"lastUpdateDateTimeUtc"`
	CancelledBy         string    `json:"cancellationRequestor"`
	CancellationComment string    `json:"cancellationComment"`
	Cancelled           time.Time `json:"cancellationDateTimeUtc,omitzero"`
	ErrorHResult        int64     `json:"errorHResult"`
	ExternalID          string    `json:"externalId"`
	Trouble             string    `json:"troubleshootInfo"` // why it failed or timed out, in words
}

// Ended says whether the action's status is final.
func (a Action) Ended() bool { return a.Status != Pending && a.Status != InProgress }

// CollectRequest says what is asked and why.
type CollectRequest struct {
	Comment    string // why; it may not be blank
	ExternalID string // of the caller's own, "" for none
	Profile    string // "" for the server's default
}

// Collect asks a device, named by its id, full name or host name, for a package.
// A device that has an action already refuses another: the error is an [*Error]
// of CodeActive that names the one that runs.
func (c *Client) Collect(ctx context.Context, device string, r CollectRequest) (Action, error) {
	var out Action
	segment, err := segment("device", device)
	if err != nil {
		return out, err
	}
	in := struct {
		Comment    string
		ExternalID string `json:"ExternalId,omitempty"`
		Profile    string `json:",omitempty"`
	}(r)
	err = c.call(ctx, http.MethodPost, machinesPath+"/"+segment+"/collectInvestigationPackage", nil, in, &out, maxEntity)
	return out, err
}

// Action returns one action.
func (c *Client) Action(ctx context.Context, id string) (Action, error) {
	var out Action
	segment, err := segment("action", id)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodGet, actionsPath+"/"+segment, nil, nil, &out, maxEntity)
	return out, err
}

// Actions lists actions, the newest first where p does not say another order:
// those of one answer, at most 10,000.
func (c *Client) Actions(ctx context.Context, p Page) ([]Action, error) {
	return rows[Action](ctx, c, actionsPath, p.query())
}

// AllActions yields actions as AllMachines does devices.
func (c *Client) AllActions(ctx context.Context, p Page) iter.Seq2[Action, error] {
	return all[Action](ctx, c, actionsPath, p.query())
}

// CountActions says how many actions a filter of OData selects; "" for all.
func (c *Client) CountActions(ctx context.Context, filter string) (int64, error) {
	return c.count(ctx, actionsPath, filter)
}

// ActionsOf lists the actions of a device as Actions does.
func (c *Client) ActionsOf(ctx context.Context, device string, p Page) ([]Action, error) {
	segment, err := segment("device", device)
	if err != nil {
		return nil, err
	}
	return rows[Action](ctx, c, machinesPath+"/"+segment+"/machineactions", p.query())
}

// CountActionsOf says how many actions of a device a filter selects.
func (c *Client) CountActionsOf(ctx context.Context, device, filter string) (int64, error) {
	segment, err := segment("device", device)
	if err != nil {
		return 0, err
	}
	return c.count(ctx, machinesPath+"/"+segment+"/machineactions", filter)
}

const actionsPath = "api/machineactions"

// Cancel calls an action off that has not ended. The comment may be "".
func (c *Client) Cancel(ctx context.Context, id, comment string) (Action, error) {
	var out Action
	segment, err := segment("action", id)
	if err != nil {
		return out, err
	}
	in := struct {
		Comment string `json:",omitempty"`
	}{comment}
	err = c.call(ctx, http.MethodPost, actionsPath+"/"+segment+"/cancel", nil, in, &out, maxEntity)
	return out, err
}

// How Wait asks.
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 2 * time.Second
	slowPoll  = 5 * time.Second  // for what takes longer than
	ordinary  = 20 * time.Second // most collections do
	patience  = time.Minute      // with a server that can't be reached or does not work
)

// Wait asks for an action again and again until it has ended: after 100 ms at
// first, then less and less often, after 20 s every 5 s, or later where the
// server says so. That is 12 calls a minute of the 100 that an application has
// for all its actions. A server that
// is away for a moment is borne with; for longer than a minute is an error.
func (c *Client) Wait(ctx context.Context, id string) (Action, error) {
	began := c.now()
	good := began
	for pause, most := firstPoll, lastPoll; ; pause = min(2*pause, most) {
		a, err := c.Action(ctx, id)
		if err == nil {
			good = c.now()
			if a.Ended() {
				return a, nil
			}
		}
		wait := pause
		if e, ok := errors.AsType[*Error](err); ok {
			if e.Status != http.StatusTooManyRequests && e.Status < 500 {
				return a, err
			}
			if e.RetryAfter > 0 {
				wait, good = e.RetryAfter, c.now() // it works, and says when
			}
		}
		if c.now().Sub(began) > ordinary {
			most = slowPoll
		}
		if ctx.Err() != nil {
			return a, context.Cause(ctx)
		}
		if err != nil && c.now().Sub(good) > patience {
			return a, fmt.Errorf("wait for action %s: %w", id, err)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return a, err
		}
	}
}
