package pages

// Templates, each of the page of that name.
var (
	signIn        = parse("sign_in")
	oneTimeCode   = parse("one_time_code")
	newPassword   = parse("new_password")
	chooseAccount = parse("choose_account")
	proof         = parse("proof")
	deviceCode    = parse("device_code")
	deviceConfirm = parse("device_confirm")
	deviceDone    = parse("device_done")
	account       = parse("account")
	twoStepSetup  = parse("two_step_setup")
	recoveryCodes = parse("recovery_codes")
	signOut       = parse("sign_out")
	signedOut     = parse("signed_out")
	failure       = parse("failure")
	formPost      = parse("form_post")
)

// Fields that several pages have.
var (
	passwordField = field{Name: FieldPassword, Label: "Password", Type: "password", Autocomplete: "current-password"}
	codeField     = field{
		Name: FieldCode, Label: "6-digit code", Hint: "From your authenticator app. It changes every 30 seconds.",
		Type: "text", Autocomplete: "one-time-code", Mode: "numeric",
	}
	anyCodeField = field{
		Name: FieldCode, Label: "6-digit code", Hint: "From your authenticator app; or one of your recovery codes.",
		Type: "text", Autocomplete: "one-time-code",
	}
	recoveryField = field{
		Name: FieldRecovery, Label: "Recovery code", Hint: "One of those that you were given when you set up two-step verification. Each works once.",
		Type: "text", Autocomplete: "off",
	}
)

func (p SignIn) view() view {
	return view{template: signIn, redirects: []string{p.Redirect}, Title: "Sign in", Tenant: p.Tenant, Problem: p.Problem}.fields(
		field{Name: FieldUser, Label: "User name", Value: p.Principal, Type: "text", Autocomplete: "username", Mode: "email"}, passwordField)
}

func (p OneTimeCode) view() view {
	return view{template: oneTimeCode, redirects: []string{p.Redirect}, Title: "Two-step verification", Tenant: p.Tenant, Problem: p.Problem}.fields(codeField, recoveryField)
}

func (p NewPassword) view() view {
	v := view{template: newPassword, redirects: []string{p.Redirect}, Title: "Change your password", Tenant: p.Tenant, Problem: p.Problem}
	if p.Must {
		v.Title = "Set a new password"
	}
	var all []field
	if p.Old {
		old := passwordField
		old.Label = "Present password"
		all = append(all, old)
	}
	all = append(all,
		field{Name: FieldNew, Label: "New password", Described: "rules", Type: "password", Autocomplete: "new-password"},
		field{Name: FieldAgain, Label: "New password again", Type: "password", Autocomplete: "new-password"})
	if p.Code { // after the passwords, which browsers want together
		all = append(all, anyCodeField)
	}
	return v.fields(all...)
}

func (p ChooseAccount) view() view {
	return view{template: chooseAccount, redirects: []string{p.Redirect}, Title: "Choose an account", Tenant: p.Tenant}
}

func (p Proof) view() view {
	v := view{template: proof, redirects: []string{p.Redirect}, Title: p.Purpose, Tenant: p.Tenant, Problem: p.Problem}
	if p.Code {
		return v.fields(passwordField, anyCodeField)
	}
	return v.fields(passwordField)
}

func (p DeviceCode) view() view {
	return view{template: deviceCode, redirects: []string{p.Redirect}, Title: "Sign in on a device", Tenant: p.Tenant, Problem: p.Problem}.fields(field{
		Name: FieldUserCode, Label: "Code", Hint: "The device or program shows it: 8 letters, such as WDJB-MJHT.",
		Value: p.Code, Type: "text", Autocomplete: "off",
	})
}

func (p DeviceConfirm) view() view {
	return view{template: deviceConfirm, redirects: []string{p.Redirect}, Title: "Allow this sign-in?", Tenant: p.Tenant}
}

func (p DeviceDone) view() view {
	v := view{template: deviceDone, Title: "The sign-in was denied", Tenant: p.Tenant}
	if p.Allowed {
		v.Title = "You are signed in"
	}
	return v
}

func (p Account) view() view {
	return view{template: account, redirects: []string{p.Redirect}, Title: "Your account", Tenant: p.Tenant, Wide: true}
}

func (p TwoStepSetup) view() view {
	code := codeField
	code.Hint = "The one that the app shows now."
	v := view{template: twoStepSetup, redirects: []string{p.Redirect}, Title: "Set up two-step verification", Tenant: p.Tenant, Problem: p.Problem}.fields(code)
	if p.Problem.Text == "" { // what stands above the field is read first
		code.Focus = false
		v.Fields[FieldCode] = code
	}
	return v
}

func (p RecoveryCodes) view() view {
	return view{template: recoveryCodes, Title: "Recovery codes", Tenant: p.Tenant}
}

func (p SignOut) view() view {
	return view{template: signOut, redirects: []string{p.Redirect}, Title: "Sign out?", Tenant: p.Tenant}
}

func (p SignedOut) view() view {
	return view{template: signedOut, Title: "You are signed out", Tenant: p.Tenant}
}

func (p Failure) view() view {
	return view{template: failure, Title: p.Title, Tenant: p.Tenant}
}

func (p FormPost) view() view {
	return view{template: formPost, redirects: []string{p.Redirect}, Title: "Almost done", Tenant: p.Tenant}
}
