package pages

import "time"

// Page is one of the types of this package.
type Page interface{ view() view }

// Names of the fields in which forms come back.
const (
	FieldUser     = "username"
	FieldPassword = "password" // the one that holds now
	FieldNew      = "new_password"
	FieldAgain    = "new_password_again"
	FieldCode     = "code"      // of 6 digits, or as it was typed
	FieldRecovery = "recovery"  // a recovery code in the place of FieldCode
	FieldUserCode = "user_code" // that a device shows
	FieldSession  = "session"   // id, beside DoEndSession
	FieldDo       = "do"        // which button it was, where a page has several: Do…; absent for the main one of a form with fields
)

// Values of FieldDo.
const (
	DoContinue   = "continue"    // go on with the account that is signed in
	DoOther      = "other"       // sign in with another account
	DoAllow      = "allow"       // the device gets its token
	DoDeny       = "deny"        // it doesn't
	DoSignOut    = "sign-out"    // this browser
	DoEndSession = "end-session" // the one named by FieldSession
	DoEndAll     = "end-all"     // sign out everywhere
)

// Form is where a page's forms go, and what goes with them unseen.
type Form struct {
	Action string  // an address of this server, best a path
	Hidden []Field // what a handler needs again, its proof against forged requests included

	// Redirect is the address to which the answer to the form may send the browser
	// on, at once or after more pages: an application's redirect URI. Browsers hold
	// a form's redirects against the page's policy, so it must be named there. ""
	// where nothing leads away from this server.
	Redirect string
}

// Field is a value that a form takes along.
type Field struct{ Name, Value string }

// Problem is why a page is shown again.
type Problem struct {
	Text  string // a sentence or two: what is wrong and what to do. "" is no problem
	Field string // the name of the field it is about, which gets the cursor; "": none of them
}

// SignIn asks for user name and password.
type SignIn struct {
	Form
	Tenant      string // its name
	Application string // the name of what the person signs in to; "" for the account page
	Principal   string // user name to begin with: login_hint, or what was typed
	Problem     Problem
}

// OneTimeCode asks for the second step: FieldCode from the authenticator app, or
// FieldRecovery, or DoOther.
type OneTimeCode struct {
	Form
	Tenant      string
	Application string // "" for the account page
	Principal   string // whose password was right
	Problem     Problem
}

// NewPassword asks for a new password, twice.
type NewPassword struct {
	Form
	Tenant    string
	Principal string
	Must      bool   // the old one was set by somebody else, so there is no way around it
	Old       bool   // ask for the old one (FieldPassword) too
	Code      bool   // and for FieldCode; a recovery code is typed into it as well
	Cancel    string // address of a way back; "" for none
	Problem   Problem
}

// ChooseAccount asks somebody who is signed in already whether to go on
// (DoContinue) or to sign in with another account (DoOther).
type ChooseAccount struct {
	Form
	Tenant      string
	Application string // "" for the account page
	Name        string // of the person
	Principal   string
}

// Proof asks a person who is signed in to prove once more that it is them, before
// something that a stranger at an open browser must not do.
type Proof struct {
	Form
	Tenant    string
	Principal string
	Purpose   string // the page's heading: "Remove two-step verification"
	Effect    string // a sentence on what will happen; may be empty
	Button    string // what the button says: "Remove"
	Code      bool   // ask for FieldCode beside the password; a recovery code is typed into it as well
	Cancel    string // address of the way back
	Problem   Problem
}

// DeviceCode asks for the code that a device or program shows.
type DeviceCode struct {
	Form
	Tenant  string
	Code    string // to begin with; may be empty
	Problem Problem
}

// DeviceConfirm asks whether a device or program may sign in as the person
// (DoAllow, DoDeny).
type DeviceConfirm struct {
	Form
	Tenant      string
	Application string    // the name of what asks
	Code        string    // that the device shows: WDJB-MJHT
	Address     string    // the network address that asked
	Agent       string    // what it calls itself (User-Agent); may be empty
	Asked       time.Time // when
	Now         time.Time
	Name        string // of the person
	Principal   string
}

// DeviceDone says that the device has been told.
type DeviceDone struct {
	Tenant      string
	Application string
	Allowed     bool
}

// Account shows a person's own account. Its forms are DoEndSession with
// FieldSession, DoEndAll and DoSignOut.
type Account struct {
	Form
	Tenant    string
	Name      string
	Principal string
	Groups    []string // names of user groups
	Notice    string   // what was just done: "Your password is changed."; may be empty

	PasswordChanged time.Time
	PasswordPage    string // address of the page that changes it

	TwoStep      bool   // two-step verification is on
	Recovery     int    // recovery codes that are left
	SetUpPage    string // address of the page that sets it up, where it is off
	RecoveryPage string // addresses of the pages that make new recovery codes, and
	RemovePage   string // remove it, where it is on

	Sessions []Session // in the order in which they are shown
	Now      time.Time
}

// Session is a sign-in of a person.
type Session struct {
	ID          string
	Application string // its name; "" for the browser's own
	Agent       string // what the browser or program calls itself (User-Agent)
	Address     string // the network address it came from
	Began, Used time.Time
	This        bool // it is the one that looks at the page
}

// TwoStepSetup shows the secret of two-step verification, and asks for a code as
// proof that an authenticator app has it.
type TwoStepSetup struct {
	Form
	Tenant    string
	Principal string
	QR        []byte // SVG of the secret's URI, which is shown as an image; nil for none
	Secret    string // as text to type
	Must      bool   // signing in goes no further without it
	Cancel    string // address of the way back; "" for none
	Problem   Problem
}

// RecoveryCodes shows a person's recovery codes, this once.
type RecoveryCodes struct {
	Tenant    string
	Principal string
	Codes     []string
	Made      time.Time
	Next      string // address at which it goes on
}

// SignOut asks whether to sign out (DoSignOut), where another site may have sent
// the browser here.
type SignOut struct {
	Form
	Tenant    string
	Name      string
	Principal string
	Cancel    string // address of the account
}

// SignedOut says that the browser is signed out.
type SignedOut struct {
	Tenant string
	SignIn string // address to sign in again; "" for none
}

// Failure says what went wrong.
type Failure struct {
	Tenant string // "" where it is not known
	Title  string // a heading: "This link has run out"
	Text   string // a sentence or two on what to do
	Trace  string // the request's id, by which the log is searched; "" for none
	Next   Link   // a way on; none where it has no address
}

// Link is an address with what it says.
type Link struct{ Text, Address string }

// FormPost hands an application what it asked for in a form (response_mode
// form_post). Usually a script sends such a form; here the person does, by a
// button.
type FormPost struct {
	Tenant      string
	Application string
	Redirect    string // the application's redirect URI, https or http
	Fields      []Field
}
