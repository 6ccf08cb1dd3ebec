package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"swab/client"
	"swab/internal/command"
)

type retentionShow struct {
	connection
	output
}

func (*retentionShow) Help() string {
	return "Shows how long packages are kept. By itself nothing expires." + administers
}

func (s *retentionShow) Run(ctx context.Context, env command.Env) error {
	c, _, err := s.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Retention(ctx)
	if err != nil {
		return err
	}
	return s.showRetention(env, r)
}

type retentionSet struct {
	Days     string `help:"Delete packages, and what was left unverified, so many days after it was sealed or left; none: not by age." placeholder:"N|none"`
	Packages string `help:"Keep the newest packages, so many; none: any number." placeholder:"N|none"`
	Bytes    string `help:"Keep the newest packages that have so many bytes together, such as 500GiB; none: any number." placeholder:"SIZE|none"`
	connection
	output
}

func (*retentionSet) Help() string {
	return "Says how long packages are kept. Each rule holds for itself, and one that is not given stays as it was. What the rules no longer keep is deleted within minutes, the oldest first, for good; what is under a hold (swab hold) stays, and is not counted. Each deletion is an entry of the audit log." + administers
}

// Check judges the settings together.
func (s *retentionSet) Check() error {
	_, err := s.change()
	return err
}

func (s *retentionSet) change() (r client.RetentionChange, err error) {
	if s.Days+s.Packages+s.Bytes == "" {
		return r, errors.New("give --days, --packages or --bytes")
	}
	var wrong [3]error
	r.Days, wrong[0] = rule[int]("--days", s.Days, math.MaxInt32)
	r.Packages, wrong[1] = rule[int]("--packages", s.Packages, math.MaxInt32)
	r.Bytes, wrong[2] = rule[int64]("--bytes", s.Bytes, 1<<53)
	return r, errors.Join(wrong[:]...)
}

// units are those of sizes.
var units = []struct {
	name string
	size uint64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// rule reads a figure, with a unit where it is one of bytes; nil where none was
// given.
func rule[N int | int64](flag, given string, most uint64) (*client.Rule[N], error) {
	switch given {
	case "":
		return nil, nil
	case "none":
		return &client.Rule[N]{}, nil
	}
	digits, unit := given, uint64(1)
	what := "a whole number from 1 on"
	if flag == "--bytes" {
		what = "a size such as 500GiB"
		for _, u := range units {
			if before, ok := strings.CutSuffix(given, u.name); ok {
				digits, unit = before, u.size
			}
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || n > most/unit {
		return nil, fmt.Errorf("%s: %.60q is neither %s nor none", flag, given, what)
	}
	return &client.Rule[N]{Figure: N(n * unit)}, nil
}

func (s *retentionSet) Run(ctx context.Context, env command.Env) error {
	change, err := s.change()
	if err != nil {
		return err
	}
	c, _, err := s.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.ChangeRetention(ctx, change)
	if err != nil {
		return err
	}
	return s.showRetention(env, r)
}

func (o output) showRetention(env command.Env, r client.Retention) error {
	return o.print(env.Stdout, r, func(w io.Writer) error {
		return fields(w, "days", figure(r.Days), "packages", figure(r.Packages), "bytes", figure(r.Bytes))
	})
}

func figure[N int | int64](n *N) string {
	if n == nil {
		return "any"
	}
	return strconv.FormatInt(int64(*n), 10)
}

type holdAdd struct {
	Action string `help:"The action whose package is held, by its id." placeholder:"ID"`
	Device string `help:"The device of which everything is held, by id or name." placeholder:"DEVICE"`
	Reason string `required:"" help:"Why; people with the right to administer see it." placeholder:"TEXT"`
	connection
	output
}

func (*holdAdd) Help() string {
	return "Adds a legal hold: what it is on does not expire before it is removed, nor what a device under a hold delivers later. Several holds may be on one thing, each for its own reason." + administers
}

// Check judges the settings together.
func (h *holdAdd) Check() error {
	if (h.Action == "") == (h.Device == "") {
		return errors.New("give --action or --device, one of them")
	}
	return nil
}

func (h *holdAdd) Run(ctx context.Context, env command.Env) error {
	c, _, err := h.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.AddHold(ctx, client.HoldRequest{Action: h.Action, Device: h.Device, Reason: h.Reason})
	if err != nil {
		if h.Action != "" {
			return noSuch("action", h.Action, err)
		}
		return noSuch("device", h.Device, err)
	}
	return h.showHold(env, made)
}

func (o output) showHold(env command.Env, h client.Hold) error {
	return o.print(env.Stdout, h, func(w io.Writer) error {
		return fields(w, "id", h.ID, "device", h.Device, "action", held(h), "reason", h.Reason, "added by", h.Holder, "created", when(h.Created))
	})
}

// held is the action that a hold is on.
func held(h client.Hold) string {
	if h.Action == nil {
		return "any"
	}
	return *h.Action
}

type holdList struct {
	connection
	output
}

func (*holdList) Help() string {
	return "Lists legal holds, the oldest first." + administers
}

func (l *holdList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	holds, err := c.Holds(ctx)
	if err != nil {
		return err
	}
	return l.print(env.Stdout, holds, func(w io.Writer) error {
		rows := make([][]string, len(holds))
		for i, h := range holds {
			rows[i] = []string{h.ID, h.Device, held(h), when(h.Created), h.Holder, h.Reason}
		}
		return table(w, "ID DEVICE ACTION CREATED ADDED-BY REASON", rows)
	})
}

type holdRemove struct {
	Hold string `arg:"" name:"id" help:"The hold's id, as swab hold list shows it."`
	connection
	output
}

func (*holdRemove) Help() string {
	return "Removes a legal hold. What it was on expires soon, if the rules do not keep it and no other hold does." + administers
}

func (r *holdRemove) Run(ctx context.Context, env command.Env) error {
	c, _, err := r.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	h, err := c.RemoveHold(ctx, r.Hold)
	if err != nil {
		return noSuch("hold", r.Hold, err)
	}
	return r.showHold(env, h)
}
