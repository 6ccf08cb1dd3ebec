package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"swab/internal/action"
	"swab/internal/fault"
	"swab/internal/keys"
	"swab/internal/vault"
)

// Endings of a package's address, and of its receipt's beside it.
const (
	zipEnding     = ".zip"
	receiptEnding = ".zip.receipt"
)

func (a *API) packageURI(ctx context.Context, c *call) (reply, error) {
	// An action keeps its package's hash for ever, and its bytes for a while.
	act, err := a.Engine.Link(ctx, c.who, c.id("action"), func(act action.Action) error {
		if err := c.plain(); err != nil {
			return err
		}
		content, err := a.open(ctx, act)
		if err != nil {
			return err
		}
		return content.Close()
	})
	if err != nil {
		return reply{}, err
	}
	return reply{body: struct {
		Context string `json:"@odata.context"`
		Value   string `json:"value"`
	}{
		c.metadata("Edm.String"),
		c.base + "/packages/" + act.Tenant + "/" + act.ID + zipEnding + "?" + a.sign(act.Tenant, act.ID, a.Now().Add(a.Life)),
	}}, nil
}

// sign is the query of a link to one action's package and receipt, good until
// then.
func (a *API) sign(tenant string, id action.ID, until time.Time) string {
	expires := strconv.FormatInt(until.Unix(), 10)
	mac := a.Keys.MAC(keys.Link, linkText(tenant, id, expires))
	return "e=" + expires + "&s=" + base64.RawURLEncoding.EncodeToString(mac)
}

// linkText is what a link's signature is over. No part can hold a line break
// and be a tenant's, an action's or a time's, so no two links have one text.
func linkText(tenant string, id action.ID, expires string) []byte {
	return []byte("swab.link/1\n" + tenant + "\n" + id + "\n" + expires)
}

// holds checks a link: its signature first, so that nothing is learnt from an
// altered one, not even whether there is such a package.
func (a *API) holds(tenant string, id action.ID, query url.Values) error {
	expires := query.Get("e")
	mac, err := base64.RawURLEncoding.Strict().DecodeString(query.Get("s"))
	if err != nil || !a.Keys.CheckMAC(keys.Link, linkText(tenant, id, expires), mac) {
		return fault.Forbidden.Errorf(err, "The link is not one that this server gave out")
	}
	if until, err := strconv.ParseInt(expires, 10, 64); err != nil || a.Now().Unix() >= until {
		return fault.Forbidden.Errorf(err, "The link has expired; ask for a new one with getPackageUri")
	}
	return nil
}

// download serves a package or its receipt by a signed link.
func (a *API) download(ctx context.Context, c *call) error {
	tenant, file := c.path["tenant"], c.path["file"]
	id, receipt := strings.CutSuffix(file, receiptEnding)
	if !receipt {
		var ok bool
		if id, ok = strings.CutSuffix(file, zipEnding); !ok {
			return fault.NoRoute.Errorf(nil, "There is nothing here; getPackageUri gives a link to a package")
		}
	}
	if err := a.holds(tenant, id, c.r.URL.Query()); err != nil {
		return err
	}
	act, err := a.Records.Action(ctx, tenant, id)
	if err != nil {
		return err
	}
	if t, err := a.Records.Tenant(ctx, tenant); err != nil {
		return err
	} else if t.Revoked { // as if there were none
		return fault.NotFound.Errorf(nil, "Machine action %s was not found", id)
	}
	content, err := a.open(ctx, act) // for a receipt too: when the package goes, so does it
	if err != nil {
		return err
	}
	defer content.Close()
	name := fileName(act)
	h := c.w.Header()
	if receipt {
		h.Set("Content-Type", "application/vnd.dsse.envelope.v1+json")
		return c.send(name+".receipt", act.Package.Sealed, bytes.NewReader(act.Package.Receipt))
	}
	sum, err := hex.DecodeString(act.Package.SHA256)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/zip")
	h.Set("ETag", `"`+act.Package.SHA256+`"`)
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	h.Set("Link", "<"+c.base+"/packages/"+tenant+"/"+id+receiptEnding+"?"+c.r.URL.RawQuery+`>; rel="describedby"`)
	return c.send(name, act.Package.Sealed, content)
}

// open opens an action's package.
func (a *API) open(ctx context.Context, act action.Action) (vault.Content, error) {
	if act.Package == nil {
		return vault.Content{}, fault.NotFound.Errorf(nil, "The package of action %s was deleted", act.ID)
	}
	content, err := a.Vault.Open(ctx, act.Package.Upload)
	if !errors.Is(err, fault.NotFound) {
		return content, err
	}
	uploads, readErr := a.Vault.UploadsOf(ctx, act.Tenant, act.ID)
	if readErr != nil {
		return vault.Content{}, readErr
	}
	why := ""
	for _, u := range uploads {
		if u.ID == act.Package.Upload {
			why = because(u)
		}
	}
	return vault.Content{}, fault.NotFound.Errorf(err, "The package of action %s was deleted%s", act.ID, why)
}

// because is why an upload was deleted, to stand behind what says that it was.
func because(u vault.Upload) string {
	if u.State != vault.Deleted || u.Reason == "" {
		return ""
	}
	return ": " + u.Reason
}

// attempt serves what a dead attempt delivered, to administrators and as bytes
// that nobody has verified.
func (a *API) attempt(ctx context.Context, c *call) error {
	number, err := strconv.Atoi(c.path["attempt"])
	if err != nil {
		number = 0 // there is none; the core says so to whoever may ask
	}
	act, err := a.Engine.Partial(ctx, c.who, c.id("action"), number)
	if err != nil {
		return err
	}
	uploads, err := a.Vault.UploadsOf(ctx, act.Tenant, act.ID)
	if err != nil {
		return err
	}
	why := ""
	for _, u := range uploads {
		if u.Attempt == number {
			why = because(u)
		}
		if u.Attempt != number || u.State != vault.Partial && u.State != vault.Quarantined {
			continue
		}
		content, err := a.Vault.Open(ctx, u.ID)
		if err != nil {
			return err
		}
		defer content.Close()
		c.w.Header().Set("Content-Type", "application/octet-stream")
		return c.send("unverified-attempt-"+strconv.Itoa(number)+"-"+fileName(act), u.Updated, content)
	}
	return fault.NotFound.Errorf(nil, "Nothing is kept of attempt %d of action %s%s", number, act.ID, why)
}

// fileName is what a client may call a package: the device's name, as far as it
// is letters, digits, dots and dashes, and the action's id. A device chooses its
// own name, so nothing else of it gets into a header or a file name.
func fileName(act action.Action) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, act.DeviceName)
	safe = strings.Trim(safe[:min(len(safe), 64)], ".-")
	if safe == "" {
		safe = "device"
	}
	return safe + "_" + act.ID + zipEnding
}
