package api

import (
	"context"
	"net/http"
	"time"

	"swab/internal/action"
	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/odata"
)

// machineAction is an action in the form and order of Defender's answers. The
// last update stands in it twice, since the documentation has two names for it
// and clients read either.
type machineAction struct {
	Context             string        `json:"@odata.context,omitempty"` // of a single entity alone
	ID                  action.ID     `json:"id"`
	Type                string        `json:"type"`
	Title               *string       `json:"title"`
	Requestor           string        `json:"requestor"`
	RequestorComment    string        `json:"requestorComment"`
	Status              action.Status `json:"status"`
	MachineID           device.ID     `json:"machineId"`
	ComputerDNSName     string        `json:"computerDnsName"`
	Created             *string       `json:"creationDateTimeUtc"`
	Updated             *string       `json:"lastUpdateDateTimeUtc"`
	UpdatedOld          *string       `json:"lastUpdateTimeUtc"`
	CancellationBy      *string       `json:"cancellationRequestor"`
	CancellationComment *string       `json:"cancellationComment"`
	CancellationTime    *string       `json:"cancellationDateTimeUtc"`
	ErrorHResult        int64         `json:"errorHResult"`
	Scope               *string       `json:"scope"`
	ExternalID          *string       `json:"externalId"`
	RequestSource       *string       `json:"requestSource"`
	RelatedFileInfo     *struct{}     `json:"relatedFileInfo"`
	Commands            []struct{}    `json:"commands"`
	TroubleshootInfo    *string       `json:"troubleshootInfo"`
}

func (a *API) collect(ctx context.Context, c *call) (reply, error) {
	dev, err := a.Engine.Target(ctx, c.who, c.path["machine"])
	if err != nil {
		return reply{}, err
	}
	var body map[string]string
	wrong := c.plain()
	if wrong == nil {
		body, wrong = c.fields(false, "Comment", "ExternalId", "Profile")
	}
	if wrong != nil {
		leaf := audit.Leaf{Act: audit.ActCollect, Object: string(dev.ID), Device: string(dev.ID)}
		return reply{}, a.Engine.Refuse(ctx, c.who, leaf, wrong)
	}
	act, err := a.Engine.Collect(ctx, c.who, dev, action.Request{
		Comment: body["Comment"], ExternalID: body["ExternalId"], Profile: body["Profile"],
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, location: c.location(act.ID), body: c.entity(act)}, nil
}

func (a *API) cancel(ctx context.Context, c *call) (reply, error) {
	act, err := a.Engine.Cancel(ctx, c.who, c.id("action"), func() (string, error) {
		if err := c.plain(); err != nil {
			return "", err
		}
		body, err := c.fields(true, "Comment")
		return body["Comment"], err
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: c.entity(act)}, nil
}

func (a *API) action(ctx context.Context, c *call) (reply, error) {
	act, err := a.Engine.Get(ctx, c.who, c.id("action"))
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	return reply{body: c.entity(act)}, nil
}

func (a *API) actions(ctx context.Context, c *call) (reply, error) {
	return list(ctx, a, c, actionList, a.listActions(c))
}

func (a *API) listActions(*call) lister[action.Action] { return a.Engine.List }

func (a *API) actionsOf(ctx context.Context, c *call) (reply, error) {
	return list(ctx, a, c, actionList, a.listActionsOf(c))
}

// listActionsOf lists the actions of the device that the path names.
func (a *API) listActionsOf(c *call) lister[action.Action] {
	return func(ctx context.Context, who auth.Caller, read func() (odata.Query, error)) (odata.Page[action.Action], error) {
		return a.Engine.ListOf(ctx, who, c.path["machine"], read)
	}
}

var actionList = listing[action.Action]{
	set: "MachineActions", entity: &action.Entity,
	show: func(act action.Action, _ time.Time) any { return machineActionOf(act) },
}

// entity is an action as the one thing of an answer.
func (c *call) entity(act action.Action) machineAction {
	m := machineActionOf(act)
	m.Context = c.metadata("MachineActions/$entity")
	return m
}

// machineActionOf is an action as the API shows it.
func machineActionOf(act action.Action) machineAction {
	m := machineAction{
		ID: act.ID, Type: action.Type, Requestor: act.Requestor, RequestorComment: act.Comment, Status: act.Status,
		MachineID: act.Device, ComputerDNSName: act.DeviceName,
		Created: moment(act.Created), Updated: moment(act.Updated), UpdatedOld: moment(act.Updated),
		ErrorHResult: act.ErrorHResult, ExternalID: given(act.ExternalID), RequestSource: given(act.Source),
		Commands: []struct{}{}, TroubleshootInfo: given(act.Trouble),
	}
	if off := act.Cancel; off != nil {
		m.CancellationBy, m.CancellationComment, m.CancellationTime = given(off.Requestor), given(off.Comment), moment(off.Time)
	}
	return m
}
