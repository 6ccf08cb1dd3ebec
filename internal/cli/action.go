package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"swab/client"
	"swab/internal/command"
)

type actionList struct {
	Device string `help:"Those of this device: its id, full name or host name." placeholder:"DEVICE"`
	Status string `enum:",Pending,InProgress,Succeeded,Failed,TimeOut,Cancelled" default:"" help:"Those in this status: Pending, InProgress, Succeeded, Failed, TimeOut or Cancelled." placeholder:"STATUS"`
	connection
	page
	output
}

func (a *actionList) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	var more []string
	if a.Status != "" {
		more = append(more, "status eq "+literal(a.Status))
	}
	ask := c.Actions
	if a.Device != "" {
		ask = func(ctx context.Context, p client.Page) ([]client.Action, error) {
			return c.ActionsOf(ctx, a.Device, p)
		}
	}
	actions, err := ask(ctx, a.of(more...))
	if err != nil {
		return noSuch("device", a.Device, err)
	}
	return a.print(env.Stdout, actions, func(w io.Writer) error {
		rows := make([][]string, len(actions))
		for i, a := range actions {
			rows[i] = []string{a.ID, a.Status, a.MachineName, when(a.Created), a.Requestor, a.Comment}
		}
		return table(w, "ID STATUS DEVICE CREATED REQUESTOR COMMENT", rows)
	})
}

type actionShow struct {
	Action string `arg:"" help:"The action's id."`
	connection
	output
}

func (a *actionShow) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	action, err := c.Action(ctx, a.Action)
	if err != nil {
		return noSuch("action", a.Action, err)
	}
	return a.print(env.Stdout, action, func(w io.Writer) error { return showAction(w, action) })
}

type actionCancel struct {
	Action  string `arg:"" help:"The action's id."`
	Comment string `help:"Why: it stands in the audit log." placeholder:"TEXT"`
	connection
	output
}

func (a *actionCancel) Run(ctx context.Context, env command.Env) error {
	c, _, err := a.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	action, err := c.Cancel(ctx, a.Action, a.Comment)
	if err != nil {
		return noSuch("action", a.Action, err)
	}
	return a.print(env.Stdout, action, func(w io.Writer) error { return showAction(w, action) })
}

func showAction(w io.Writer, a client.Action) error {
	return fields(w,
		"action", a.ID,
		"status", a.Status,
		"device", strings.TrimSpace(a.MachineID+"  "+a.MachineName),
		"requestor", a.Requestor,
		"comment", a.Comment,
		"created", when(a.Created),
		"updated", when(a.Updated),
		"trouble", a.Trouble,
		"cancelled by", a.CancelledBy,
		"cancelled", when(a.Cancelled),
		"why cancelled", a.CancellationComment,
		"external id", a.ExternalID,
	)
}

// noSuch says plainly that the thing asked for is not there. A name that fits
// several devices keeps the server's words.
func noSuch(what, name string, err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if ok && e.Code == client.CodeNotFound && strings.HasSuffix(strings.TrimSuffix(e.Message, "."), "was not found") {
		return fmt.Errorf("no %s %q", what, name)
	}
	return err
}
