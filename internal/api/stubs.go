package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"swab/internal/action"
	"swab/internal/canon"
	"swab/internal/odata"
)

// What clients ask for around the collection of packages, though Swab has
// nothing behind it: to test a connection, or in the same breath.

// otherActions are Defender's actions that Swab lacks.
var otherActions = []string{
	"isolate", "unisolate", "restrictCodeExecution", "unrestrictCodeExecution", "runAntiVirusScan", "offboard",
	"StopAndQuarantineFile", "runliveresponse", "startInvestigation",
}

// otherAction answers for an action that Swab lacks: whether the machine is
// known comes first, since a connector's self-test asks for one that is not.
func (a *API) otherAction(name string) func(ctx context.Context, c *call) (reply, error) {
	return func(ctx context.Context, c *call) (reply, error) {
		return reply{}, a.Engine.Disallowed(ctx, c.who, c.path["machine"], name)
	}
}

// counted is a collection of nothing.
type counted struct {
	Context string     `json:"@odata.context"`
	Count   *int       `json:"@odata.count,omitempty"`
	Value   []struct{} `json:"value"`
}

// alerts is the list of alerts: there are none. Its query may say anything, but
// for the count that it asks for.
func (a *API) alerts(_ context.Context, c *call) (reply, error) {
	list := counted{Context: c.metadata("Alerts"), Value: []struct{}{}}
	_ = odata.Options(c.r.URL.RawQuery, func(name, value string) error {
		if name == "$count" && strings.EqualFold(strings.TrimSpace(value), "true") {
			list.Count = new(int)
		}
		return nil
	})
	return reply{body: list}, nil
}

// countAlerts answers with their number, as text.
func (a *API) countAlerts(ctx context.Context, c *call) error {
	if err := c.counted(ctx, nil); err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, "text/plain; charset=utf-8", []byte("0"))
	return nil
}

// exposureScore is a number that nobody has worked out.
func (a *API) exposureScore(_ context.Context, c *call) (reply, error) {
	return reply{body: struct {
		Context string   `json:"@odata.context"`
		Time    string   `json:"time"`
		Score   *float64 `json:"score"`
	}{Context: c.metadata("ExposureScore/$entity"), Time: canon.FormatTime(a.Now().Truncate(time.Second))}}, nil
}

// availableAction says whether a machine can take an action.
type availableAction struct {
	Action    string `json:"action"`
	Available bool   `json:"isAvailable"`
}

func (a *API) availableActions(ctx context.Context, c *call) (reply, error) {
	d, err := a.Fleet.Get(ctx, c.who, c.path["machine"])
	if err != nil {
		return reply{}, err
	}
	if err := c.plain(); err != nil {
		return reply{}, err
	}
	return reply{body: collection[availableAction]{
		Context: c.metadata("Collection(microsoft.windowsDefenderATP.api.AvailableMachineAction)"),
		Value:   []availableAction{{Action: action.Type, Available: action.Takes(d)}},
	}}, nil
}
