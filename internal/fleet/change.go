package fleet

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"swab/internal/audit"
	"swab/internal/auth"
	"swab/internal/device"
	"swab/internal/fault"
)

// Change is what a caller says of a device. What is nil stays as it is.
type Change struct {
	Tags      []string // the tags it is to have, in place of those it has; nil: as they are
	Add       string   // a tag it is to have as well; "" for none
	Remove    string   // a tag it is not to have; "" for none
	Value     *string  // Normal, Low, High
	Risk      *string  // None, Informational, Low, Medium, High; "": not assessed
	Exposure  *string  // None, Low, Medium, High; "": not assessed
	AADDevice *string  // a GUID; "": not known
}

// Bounds of tags, and of how many devices one call may change.
const (
	MaxTag   = 200 // characters of a tag
	MaxTags  = 100 // of one device
	MaxBatch = 500 // devices
)

// What may be said of a device, as Defender names it.
var (
	values    = []string{"Normal", "Low", "High"}
	risks     = []string{"None", "Informational", "Low", "Medium", "High"}
	exposures = []string{"None", "Low", "Medium", "High"}
)

// Update changes what is said of the device that a name means. The right that it
// takes is auth.TagMachine or auth.UpdateMachine, as the contract has it of what
// is changed; more is asked for where the change turns out to need it. read gives
// the change: it is asked for last, when the caller may and the device is known.
func (f *Fleet) Update(ctx context.Context, who auth.Caller, name string, right auth.Right, read func() (Change, error)) (device.Device, error) {
	changed, err := f.update(ctx, who, audit.Clip(name), right, func() ([]device.ID, Change, error) {
		dev, err := f.Find(ctx, who, name)
		if err != nil {
			return nil, Change{}, err
		}
		c, err := read()
		return []device.ID{dev.ID}, c, err
	})
	if err != nil {
		return device.Device{}, err
	}
	return changed[0], nil
}

// UpdateMany changes what is said of several devices, named by their ids: of
// all of them or of none.
func (f *Fleet) UpdateMany(ctx context.Context, who auth.Caller, read func() ([]string, Change, error)) ([]device.Device, error) {
	return f.update(ctx, who, who.Tenant, auth.TagMachine, func() ([]device.ID, Change, error) {
		names, c, err := read()
		if err != nil {
			return nil, c, err
		}
		if len(names) > MaxBatch {
			return nil, c, fault.BatchTooLarge.Errorf(nil, "%d machines were named, at most %d may be", len(names), MaxBatch)
		}
		ids := make([]device.ID, 0, len(names))
		for _, name := range names {
			id, err := device.ParseID(name)
			if err != nil {
				return nil, c, absent(name)
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return ids, c, nil
	})
}

func (f *Fleet) update(ctx context.Context, who auth.Caller, object string, right auth.Right, read func() ([]device.ID, Change, error)) ([]device.Device, error) {
	if err := f.guard().Permit(ctx, who, audit.ActUpdateDevice, object, right); err != nil {
		return nil, err
	}
	var changed []device.Device
	ids, c, err := read()
	if err == nil {
		err = c.allowed(who)
	}
	if err == nil {
		err = c.check()
	}
	if err == nil {
		changed, err = f.Records.ChangeDevices(ctx, who.Tenant, ids, func(d device.Device) (device.Device, audit.Entry, error) {
			if !who.Sees(d) {
				return d, audit.Entry{}, absent(string(d.ID))
			}
			changed, e, err := f.apply(who, d, c)
			if err == nil && !who.Sees(changed) {
				return d, audit.Entry{}, fault.DisallowedOperation.Errorf(nil, "By these tags machine %s would be in a device group that you do not reach", d.ID)
			}
			return changed, e, err
		})
	}
	if err != nil {
		return nil, f.guard().Refuse(ctx, who, audit.Leaf{Act: audit.ActUpdateDevice, Object: object}, "", err)
	}
	f.Logger.InfoContext(ctx, "machines changed", "count", len(changed), "caller", who.ID, "correlation", who.Correlation)
	return f.grouped(ctx, who, changed)
}

// allowed asks for the rights that follow from what is changed: tags decide who
// reaches a device, and by an Entra id it is found in place of another.
func (c Change) allowed(who auth.Caller) error {
	if c.Tags != nil || c.Add != "" || c.Remove != "" {
		if err := who.Need(auth.TagMachine); err != nil {
			return err
		}
	}
	if c.AADDevice != nil && who.Kind == auth.User {
		return who.Need(auth.AdministerAccess)
	}
	return nil
}

// apply is d as the change wants it, with the entry that says so: what was said
// is for the tenant's eyes and not a device's.
func (f *Fleet) apply(who auth.Caller, d device.Device, c Change) (device.Device, audit.Entry, error) {
	was := d
	if d.Tags = c.tags(d.Tags); len(d.Tags) > MaxTags {
		return was, audit.Entry{}, fault.InvalidInput.Errorf(nil, "Machine %s would have %d tags, at most %d may be", d.ID, len(d.Tags), MaxTags)
	}
	var (
		what []string
		said audit.Changes
	)
	if !slices.Equal(was.Tags, d.Tags) {
		what = append(what, "tags")
		said.AddList("machineTags", was.Tags, d.Tags)
	}
	for _, one := range []struct {
		name, property string
		to             *string
		field          *string
	}{
		{"value", "deviceValue", c.Value, &d.Value}, {"risk", "riskScore", c.Risk, &d.Risk},
		{"exposure", "exposureLevel", c.Exposure, &d.Exposure}, {"aadDeviceId", "aadDeviceId", c.AADDevice, &d.AADDevice},
	} {
		if one.to != nil && *one.to != *one.field {
			what = append(what, one.name)
			said.Add(one.property, *one.field, *one.to)
			*one.field = *one.to
		}
	}
	if what == nil {
		return was, audit.Entry{}, nil
	}
	return d, audit.NewEntry(f.Now(), audit.Leaf{
		Act: audit.ActUpdateDevice, Object: string(d.ID), Device: string(d.ID), Result: audit.Done, Detail: strings.Join(what, " "),
	}, who.Hidden(said.String())), nil
}

// tags are those that a device with the tags in has after the change.
func (c Change) tags(in []string) []string {
	out := []string{}
	if c.Tags != nil {
		in = c.Tags
	}
	for _, tag := range in {
		if tag != c.Remove && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	if c.Add != "" && !slices.Contains(out, c.Add) {
		out = append(out, c.Add)
	}
	return out
}

// check puts what was said into the words that are kept, or says what is wrong.
func (c *Change) check() error {
	if len(c.Tags) > MaxTags {
		return fault.InvalidInput.Errorf(nil, "%d tags were sent, at most %d may be", len(c.Tags), MaxTags)
	}
	for _, tag := range append([]string{c.Add}, c.Tags...) {
		if err := checkTag(tag); err != nil {
			return err
		}
	}
	if slices.Contains(c.Tags, "") {
		return fault.InvalidInput.Errorf(nil, "A tag is empty")
	}
	for _, one := range []struct {
		name   string
		to     *string
		words  []string
		unsaid bool // "" takes back what was said
	}{
		{"device value", c.Value, values, false}, {"risk score", c.Risk, risks, true}, {"exposure level", c.Exposure, exposures, true},
	} {
		if one.to == nil || *one.to == "" && one.unsaid {
			continue
		}
		at := slices.IndexFunc(one.words, func(w string) bool { return strings.EqualFold(w, *one.to) })
		if at < 0 {
			return fault.InvalidInput.Errorf(nil, "The %s is one of %s, not '%s'", one.name, strings.Join(one.words, ", "), audit.Clip(*one.to))
		}
		*one.to = one.words[at]
	}
	if c.AADDevice != nil && *c.AADDevice != "" {
		id, err := uuid.Parse(*c.AADDevice)
		if err != nil || len(*c.AADDevice) != 36 {
			return fault.InvalidInput.Errorf(nil, "The Entra device id is a GUID, not '%s'", audit.Clip(*c.AADDevice))
		}
		*c.AADDevice = id.String()
	}
	return nil
}

// checkTag says what is wrong with a tag. One without text is none at all, and
// one with control characters would be invisible to whoever looks for it.
func checkTag(tag string) error {
	switch {
	case tag == "":
		return nil
	case utf8.RuneCountInString(tag) > MaxTag:
		return fault.InvalidInput.Errorf(nil, "A tag has over %d characters", MaxTag)
	case strings.TrimSpace(tag) != tag || strings.ContainsFunc(tag, unicode.IsControl) || !utf8.ValidString(tag):
		return fault.InvalidInput.Errorf(nil, "A tag has blanks at an end, or control characters")
	}
	return nil
}
