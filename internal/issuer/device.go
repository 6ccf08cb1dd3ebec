package issuer

import (
	"errors"
	"net/http"
	"strconv"

	"swab/internal/auth"
	"swab/internal/fault"
	"swab/internal/issuer/pages"
	"swab/internal/signin"
)

// deviceAnswer is a device code with what to show a person. Libraries look for
// the page's address under either name.
type deviceAnswer[number any] struct {
	UserCode string `json:"user_code"`
	Code     string `json:"device_code"`
	URI      string `json:"verification_uri"`
	URL      string `json:"verification_url"`
	Expires  number `json:"expires_in"` // seconds, as interval
	Interval number `json:"interval"`
	Message  string `json:"message"`
}

func (s *Issuer) deviceCodeV2(c *call) (any, error) {
	d, code, err := s.deviceCode(c, v2)
	if err != nil {
		return nil, err
	}
	return answerOf(c, d, code, func(seconds int64) int64 { return seconds }), nil
}

func (s *Issuer) deviceCodeV1(c *call) (any, error) {
	d, code, err := s.deviceCode(c, v1)
	if err != nil {
		return nil, err
	}
	return answerOf(c, d, code, func(seconds int64) string { return strconv.FormatInt(seconds, 10) }), nil
}

func answerOf[number any](c *call, d signin.DeviceCode, code auth.Clear, n func(seconds int64) number) deviceAnswer[number] {
	page := c.base + "/" + c.tenant.Name + "/" + devicePath
	return deviceAnswer[number]{
		UserCode: string(d.UserCode), Code: code.Reveal(), URI: page, URL: page,
		Expires: n(int64(signin.DeviceLife.Seconds())), Interval: n(int64(signin.DevicePause.Seconds())),
		Message: "To sign in, open " + page + " in a browser, on any device, and type the code " + string(d.UserCode) + " there.",
	}
}

// deviceCode makes a device code for an application.
func (s *Issuer) deviceCode(c *call, v version) (signin.DeviceCode, auth.Clear, error) {
	var none auth.Clear
	form, err := c.form()
	if err != nil {
		return signin.DeviceCode{}, none, err
	}
	if _, err := form.need("client_id"); err != nil && c.r.Header.Get("Authorization") == "" {
		return signin.DeviceCode{}, none, err
	}
	app, _, err := s.party(c, form)
	if err != nil {
		return signin.DeviceCode{}, none, err
	}
	scope, err := s.Desk.ReadScope(app, form["scope"], form.resourceOf(v))
	if err != nil {
		return signin.DeviceCode{}, none, err
	}
	return s.Desk.BeginDevice(c.r.Context(), c.visitor(), app, scope)
}

// Forms of the pages for devices.
const (
	formUserCode = "user code"
	formConfirm  = "confirm device"
)

// device is the page on which a person types the code that a device shows. They
// sign in first, so that only who can is able to try codes.
func (s *Issuer) device(c *call) (any, error) {
	in, signed, err := s.who(c)
	if err != nil {
		return nil, err
	}
	if c.r.Method == http.MethodGet {
		if !signed || !in.ProvedWithin(signin.Fresh, s.Now()) {
			return s.askPassword(c, devicePath, in.Person.Principal, pages.Problem{}, http.StatusOK)
		}
		return s.askUserCode(c, in, "", pages.Problem{}, http.StatusOK)
	}
	f, t, err := s.posted(c, formUserCode)
	if err != nil {
		return nil, err
	}
	if !signed || in.Session.ID != t.Session {
		return s.askPassword(c, devicePath, "", pages.Problem{}, http.StatusOK)
	}
	d, app, err := s.Desk.Device(c.r.Context(), c.visitor(), in, f[pages.FieldUserCode])
	if problem, status, ok := c.problem(err, pages.FieldUserCode); ok {
		return s.askUserCode(c, in, f[pages.FieldUserCode], problem, status)
	}
	if err != nil {
		return nil, err
	}
	confirm := signin.Ticket{For: formConfirm, Request: string(d.UserCode), Session: in.Session.ID}
	return shown{http.StatusOK, pages.DeviceConfirm{
		Form: s.form(c, "device/confirm", "", confirm), Tenant: c.tenant.Name, Application: title(app), Code: string(d.UserCode),
		Address: d.From, Agent: d.Agent, Asked: d.Asked(), Now: s.Now(), Name: in.Person.Name, Principal: in.Person.Principal,
	}}, nil
}

func (s *Issuer) askUserCode(c *call, in signin.Signed, typed string, p pages.Problem, status int) (any, error) {
	return shown{status, pages.DeviceCode{
		Form: s.form(c, devicePath, "", signin.Ticket{For: formUserCode, Session: in.Session.ID}), Tenant: c.tenant.Name, Code: clip(typed), Problem: p,
	}}, nil
}

// deviceConfirm takes what a person says of a device.
func (s *Issuer) deviceConfirm(c *call) (any, error) {
	if c.r.Method == http.MethodGet {
		return redirect(c.path(devicePath)), nil
	}
	f, t, err := s.posted(c, formConfirm)
	if err != nil {
		return nil, err
	}
	in, signed, err := s.who(c)
	if err != nil {
		return nil, err
	}
	if !signed || in.Session.ID != t.Session {
		return s.askPassword(c, devicePath, "", pages.Problem{}, http.StatusOK)
	}
	allow := f[pages.FieldDo] == pages.DoAllow
	if !allow && f[pages.FieldDo] != pages.DoDeny {
		return nil, invalidRequest(900144, "The form does not say whether to allow the sign-in")
	}
	d, app, err := s.Desk.Device(c.r.Context(), c.visitor(), in, t.Request)
	if err == nil {
		err = s.Desk.Decide(c.r.Context(), c.visitor(), in, d, app, allow)
	}
	switch problem, status, ok := c.problem(err, pages.FieldUserCode); {
	case errors.Is(err, fault.Unauthorized):
		return s.askPassword(c, devicePath, in.Person.Principal, problem, status)
	case ok:
		return s.askUserCode(c, in, "", problem, status)
	case err != nil:
		return nil, err
	}
	return shown{http.StatusOK, pages.DeviceDone{Tenant: c.tenant.Name, Application: title(app), Allowed: allow}}, nil
}
