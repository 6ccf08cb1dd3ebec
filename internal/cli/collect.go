package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"swab/client"
	"swab/internal/command"
)

type collect struct {
	Device     string `arg:"" help:"The device's id, full name or host name."`
	Comment    string `help:"Why: it stands in the audit log." required:"" placeholder:"TEXT"`
	Profile    string `help:"Name of what to take, as triage or volatile. Default: triage." placeholder:"NAME"`
	ExternalID string `name:"external-id" help:"An id of your own, kept with the action." placeholder:"TEXT"`
	Wait       bool   `help:"Wait until the action has ended."`
	Output     string `help:"Wait, fetch the package to this file and its receipt beside it, and judge both." placeholder:"FILE"`
	connection
	output
}

func (*collect) Help() string {
	return "With --wait, exits with 1 where the action ends without a package. With --output, exits with what swab verify would."
}

func (c *collect) Run(ctx context.Context, env command.Env) error {
	cl, cred, err := c.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	if c.Output != "" {
		if err := free(c.Output); err != nil {
			return err // before anything is asked of the device
		}
	}
	action, err := cl.Collect(ctx, c.Device, client.CollectRequest{Comment: c.Comment, ExternalID: c.ExternalID, Profile: c.Profile})
	if err != nil {
		if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.CodeActive && e.Running != "" {
			return fmt.Errorf("%q has an action that has not ended, %s: wait for it, or cancel it", c.Device, e.Running)
		}
		return noSuch("device", c.Device, err)
	}
	if c.Wait || c.Output != "" {
		if !c.JSON {
			fmt.Fprintf(env.Stderr, "action %s: waiting for %s\n", command.Printable(action.ID), command.Printable(action.MachineName))
		}
		if action, err = cl.Wait(ctx, action.ID); err != nil {
			return err
		}
	}
	if c.Output == "" || action.Status != client.Succeeded {
		err := c.print(env.Stdout, action, func(w io.Writer) error { return showAction(w, action) })
		if action.Ended() && action.Status != client.Succeeded {
			return errors.Join(err, endedWithout(action))
		}
		return err
	}
	got, err := Fetch(ctx, cl, cred, action, c.Output, env.Now)
	if err != nil {
		return err
	}
	return errors.Join(c.print(env.Stdout, got, got.show), got.Exit())
}

func endedWithout(a client.Action) error {
	text := fmt.Sprintf("action %s ended %s, without a package", a.ID, a.Status)
	if a.Trouble != "" {
		text += ": " + a.Trouble
	}
	return errors.New(text)
}
