package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"swab/internal/action"
	"swab/internal/device"
	"swab/internal/evidence"
	"swab/internal/fault"
	"swab/internal/vault"
)

// verdict is what came of verifying an upload. The zero verdict is a good one.
type verdict struct {
	code string // of the reason, for the audit log
	text string // in words, free of hostile characters
}

// CodeIntegrity is the code of a package that is not what its device signed.
const codeIntegrity = "IntegrityError"

// verdictWithin bounds one verdict. A package of the largest size that shrinks
// well takes some minutes.
const verdictWithin = 30 * time.Minute

// judge begins the verdict on a complete upload, unless it is on its way, and
// returns what is closed when it is there.
func (g *Gateway) judge(u vault.Upload) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if done, ok := g.judged[u.ID]; ok {
		return done
	}
	done := make(chan struct{})
	if g.closed { // the next start's sweep does it
		close(done)
		return done
	}
	g.judged[u.ID] = done
	g.count.Judging.Add(1)
	start := g.now()
	g.work.Go(func() {
		defer func() {
			g.mu.Lock()
			delete(g.judged, u.ID)
			g.mu.Unlock()
			g.count.Judging.Add(-1)
			close(done)
		}()
		if !g.turn() {
			return // the next start's sweep does it
		}
		defer func() { <-g.turns }()
		ctx, cancel := context.WithTimeout(g.life, verdictWithin)
		defer cancel()
		if err := g.settle(ctx, u); err == nil {
			g.onJudged(g.now().Sub(start))
		} else if g.life.Err() == nil {
			g.log.ErrorContext(ctx, "a complete upload could not be settled; the sweep tries again",
				"upload", u.ID, "action", u.Action, "device", u.Device, "err", err)
		}
		if c := g.table.of(u.Device); c != nil {
			g.attend(c)
		}
	})
	return done
}

// turn waits until one verdict more may be made, unless the gateway closes.
func (g *Gateway) turn() bool {
	select {
	case <-g.leaving:
		return false
	case g.turns <- struct{}{}:
	}
	select {
	case <-g.leaving: // both were so
		<-g.turns
		return false
	default:
		return true
	}
}

// settle verifies a complete upload and ends its action by it. Each step can be
// repeated after a crash: the upload stays complete until the last one is done.
func (g *Gateway) settle(ctx context.Context, u vault.Upload) error {
	report, err := g.vault.Verify(ctx, u.ID)
	if err != nil {
		return err
	}
	dev, err := g.devices.DeviceByID(ctx, u.Device)
	if err != nil {
		return err
	}
	a, err := g.engine.Get(ctx, server(u.Tenant), u.Action)
	if err != nil {
		return err
	}
	if v := judge(report, u, dev, a); v != (verdict{}) {
		return g.spoil(ctx, u, v)
	}
	if !takes(a, u) {
		return g.late(ctx, u, a)
	}
	if _, err := g.vault.Seal(ctx, u.ID, report.SHA256); err != nil {
		return err
	}
	_, err = g.engine.Sealed(ctx, u.Tenant, u.Device, u.Action, u.Attempt, action.SealedPackage{
		Upload: u.ID, SHA256: report.SHA256, Size: report.Size, Signer: report.Signer,
	})
	switch {
	case errors.Is(err, fault.BadRequest), errors.Is(err, fault.NotFound): // it ended, or went on, meanwhile
		if a, err = g.engine.Get(ctx, server(u.Tenant), u.Action); err != nil {
			return err
		}
		return g.late(ctx, u, a)
	case err != nil:
		return err
	}
	if _, err := g.vault.Confirm(ctx, u.ID); err != nil {
		return err
	}
	g.count.Sealed.Add(1)
	return nil
}

// takes says whether the action would have the upload as its package.
func takes(a action.Action, u vault.Upload) bool {
	if a.Status == action.Succeeded {
		return a.Package != nil && a.Package.Upload == u.ID
	}
	return a.Status == action.InProgress && a.Attempt == u.Attempt && a.Device == u.Device
}

// late puts away what came too late for its action: nobody wants what a
// cancelled one delivered, and of any other it is kept as unverified bytes.
func (g *Gateway) late(ctx context.Context, u vault.Upload, a action.Action) error {
	g.log.InfoContext(ctx, "an upload came too late for its action", "upload", u.ID, "action", a.ID, "attempt", u.Attempt, "status", a.Status)
	if a.Status == action.Cancelled {
		return g.vault.Discard(ctx, u.Tenant, u.Action)
	}
	_, err := g.vault.Keep(ctx, u.ID, fmt.Sprintf("attempt %d came too late: the action is %s in attempt %d", u.Attempt, a.Status, a.Attempt))
	return err
}

// spoil ends the action of an upload that is not its package, and puts the
// upload where nobody takes it for one.
func (g *Gateway) spoil(ctx context.Context, u vault.Upload, v verdict) error {
	g.log.WarnContext(ctx, "upload refused", "upload", u.ID, "action", u.Action, "attempt", u.Attempt, "device", u.Device, "code", v.code, "reason", v.text)
	err := g.engine.Spoiled(ctx, u.Tenant, u.Device, u.Action, u.Attempt, v.code, v.text)
	if err != nil && !errors.Is(err, fault.BadRequest) && !errors.Is(err, fault.NotFound) {
		return err
	}
	g.count.Spoiled.Add(1)
	a, err := g.engine.Get(ctx, server(u.Tenant), u.Action)
	switch {
	case err != nil:
		return err
	case a.Status == action.Cancelled:
		return g.vault.Discard(ctx, u.Tenant, u.Action)
	case u.State == vault.Receiving:
		_, err = g.vault.Keep(ctx, u.ID, v.text)
	default:
		_, err = g.vault.Quarantine(ctx, u.ID, v.text)
	}
	return err
}

// judge holds a report against what was asked: the package must be whole and
// signed, by the device's present key, for this attempt of this action.
func judge(r *evidence.Report, u vault.Upload, dev device.Device, a action.Action) verdict {
	if r.Class != evidence.Intact || r.Manifest == nil || r.Signer == nil {
		text := "nothing in it could be read"
		if len(r.Flaws) > 0 {
			text = r.Flaws[0].Error()
		}
		return verdict{codeIntegrity, fmt.Sprintf("The package is %s: %s", r.Class, text)}
	}
	m := r.Manifest
	// What was taken before the server stopped is taken again, whatever became of
	// the device since.
	taken := a.Package != nil && a.Package.Upload == u.ID
	commitment := a.Opening.Commitment()
	for _, c := range []struct {
		ok   bool
		what string
	}{
		{r.Size == u.Length, "it is not as long as the upload"},
		{m.TenantID == u.Tenant, "it is of another tenant"},
		{m.Device.ID == u.Device, "it is of another device"},
		{m.ActionID == u.Action, "it is of another action"},
		{m.Attempt == u.Attempt, "it is of another attempt"},
		{m.Profile.Digest == a.Plan, "it was made by another plan than asked for"},
		{m.Commitment == commitment, "it is not bound to this request"},
		{enrolledBy(m.Device.Key, dev), "it names another enrolment key"},
		{taken || r.Signer.Equal(dev.Key()), "it is signed by a key that is not the device's present one"},
		{taken || !dev.Revoked, "the device is no longer enrolled"},
	} {
		if !c.ok {
			return verdict{codeIntegrity, "The package is not the one asked for: " + c.what}
		}
	}
	return verdict{}
}

func enrolledBy(key []byte, dev device.Device) bool {
	return len(key) == ed25519.PublicKeySize && device.IDOf(key) == dev.ID
}
