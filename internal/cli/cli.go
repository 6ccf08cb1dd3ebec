// Package cli is the commands for people: ask a device for a package, follow an
// action, fetch a package, judge it, read it, check the audit log, and manage who
// may do what.
//
// They stand on the public client and on the package format alone: no server and
// no agent is linked by them. The program's other commands are handed in by its
// main, so that this list and theirs can be read in one place.
//
// What a device or a server says is shown with [command.Printable], since an
// attacker who owns a device chooses its host name and what its processes are
// called.
package cli

import (
	"context"

	"swab/internal/command"
)

// Main runs one of this package's commands or of those handed in, and returns
// the exit code.
func Main(ctx context.Context, args []string, env command.Env, more ...command.Command) int {
	return command.Main(ctx, args, env, "swab", command.Join(Commands(), more))
}

// Commands lists this package's commands, those of the main job first.
func Commands() []command.Command {
	return []command.Command{
		{Name: "collect", Help: "Ask a device for a package", Run: func() command.Runner { return &collect{} }},
		{Name: "download", Help: "Fetch an action's package and receipt", Run: func() command.Runner { return &download{} }},
		{Name: "verify", Help: "Check that a package is whole, and whose it is", Run: func() command.Runner { return &verify{} }},
		{Name: "show", Help: "Show what is in a package", Run: func() command.Runner { return &showPackage{} }},
		{Name: "login", Help: "Sign in as a person", Run: func() command.Runner { return &login{} }},
		{Name: "logout", Help: "End the sign-in", Run: func() command.Runner { return &logout{} }},
		{Name: "device", Help: "Devices", Verbs: []command.Command{
			{Name: "list", Help: "List devices, the newest first", Run: func() command.Runner { return &deviceList{} }},
			{Name: "show", Help: "Show one device", Run: func() command.Runner { return &deviceShow{} }},
			{Name: "tag", Help: "Give a device a tag, or take it away", Run: func() command.Runner { return &deviceTag{} }},
			{Name: "value", Help: "Say what a device is worth", Run: func() command.Runner { return &deviceValue{} }},
			{Name: "rename", Help: "Give a device another name", Run: func() command.Runner { return &deviceRename{} }},
			{Name: "retire", Help: "Say that a device is expected to be gone", Run: func() command.Runner { return &deviceRetire{} }},
			{Name: "restore", Help: "Take back that a device is retired", Run: func() command.Runner { return &deviceRestore{} }},
			{Name: "rotate-key", Help: "Ask a device for another key", Run: func() command.Runner { return &deviceRotateKey{} }},
			{Name: "revoke", Help: "Shut a device out for good", Run: func() command.Runner { return &deviceRevoke{} }},
		}},
		{Name: "action", Help: "Actions", Verbs: []command.Command{
			{Name: "list", Help: "List actions, the newest first", Run: func() command.Runner { return &actionList{} }},
			{Name: "show", Help: "Show one action", Run: func() command.Runner { return &actionShow{} }},
			{Name: "cancel", Help: "Call an action off", Run: func() command.Runner { return &actionCancel{} }},
		}},
		{Name: "apply", Help: "Make who may do what as a file says", Run: func() command.Runner { return &apply{} }},
		{Name: "access", Help: "Who may do what", Verbs: []command.Command{
			{Name: "export", Help: "Write who may do what as a file", Run: func() command.Runner { return &accessExport{} }},
		}},
		{Name: "user", Help: "Users: people who sign in", Verbs: []command.Command{
			{Name: "create", Help: "Make a user", Run: func() command.Runner { return &userCreate{} }},
			{Name: "list", Help: "List users", Run: func() command.Runner { return &userList{} }},
			{Name: "show", Help: "Show one user", Run: func() command.Runner { return &userShow{} }},
			{Name: "change", Help: "Change what a user is called", Run: func() command.Runner { return &userChange{} }},
			{Name: "disable", Help: "Shut a user out", Run: func() command.Runner { return &userDisable{} }},
			{Name: "enable", Help: "Let a user in again", Run: func() command.Runner { return &userEnable{} }},
			{Name: "reset-password", Help: "Give a user another password", Run: func() command.Runner { return &userResetPassword{} }},
			{Name: "reset-totp", Help: "Take a user's one-time codes away", Run: func() command.Runner { return &userResetTOTP{} }},
			{Name: "sessions", Help: "List a user's sign-ins", Run: func() command.Runner { return &userSessions{} }},
			{Name: "sign-out", Help: "End a user's sign-ins", Run: func() command.Runner { return &userSignOut{} }},
		}},
		{Name: "group", Help: "User groups: sets of users", Verbs: []command.Command{
			{Name: "create", Help: "Make a user group", Run: func() command.Runner { return &groupCreate{} }},
			{Name: "list", Help: "List user groups", Run: func() command.Runner { return &groupList{} }},
			{Name: "show", Help: "Show one user group and its members", Run: func() command.Runner { return &groupShow{} }},
			{Name: "change", Help: "Change what a user group is called", Run: func() command.Runner { return &groupChange{} }},
			{Name: "delete", Help: "Delete a user group", Run: func() command.Runner { return &groupDelete{} }},
			{Name: "add", Help: "Put users into a user group", Run: func() command.Runner { return &groupAdd{} }},
			{Name: "remove", Help: "Take users out of a user group", Run: func() command.Runner { return &groupRemove{} }},
		}},
		{Name: "role", Help: "Roles: what user groups may do", Verbs: []command.Command{
			{Name: "create", Help: "Make a role", Run: func() command.Runner { return &roleCreate{} }},
			{Name: "list", Help: "List roles", Run: func() command.Runner { return &roleList{} }},
			{Name: "show", Help: "Show one role", Run: func() command.Runner { return &roleShow{} }},
			{Name: "change", Help: "Change a role", Run: func() command.Runner { return &roleChange{} }},
			{Name: "delete", Help: "Delete a role", Run: func() command.Runner { return &roleDelete{} }},
			{Name: "assign", Help: "Give a role to user groups", Run: func() command.Runner { return &roleAssign{} }},
		}},
		{Name: "device-group", Help: "Device groups: which devices user groups reach", Verbs: []command.Command{
			{Name: "create", Help: "Make a device group", Run: func() command.Runner { return &deviceGroupCreate{} }},
			{Name: "list", Help: "List device groups by rank", Run: func() command.Runner { return &deviceGroupList{} }},
			{Name: "show", Help: "Show one device group", Run: func() command.Runner { return &deviceGroupShow{} }},
			{Name: "change", Help: "Change a device group", Run: func() command.Runner { return &deviceGroupChange{} }},
			{Name: "preview", Help: "Show which devices a rule matches", Run: func() command.Runner { return &deviceGroupPreview{} }},
			{Name: "move", Help: "Give a device group another rank", Run: func() command.Runner { return &deviceGroupMove{} }},
			{Name: "delete", Help: "Delete a device group", Run: func() command.Runner { return &deviceGroupDelete{} }},
		}},
		{Name: "issuer", Help: "Other issuers whose tokens hold here", Verbs: []command.Command{
			{Name: "create", Help: "Trust an issuer", Run: func() command.Runner { return &issuerCreate{} }},
			{Name: "list", Help: "List issuers", Run: func() command.Runner { return &issuerList{} }},
			{Name: "show", Help: "Show one issuer", Run: func() command.Runner { return &issuerShow{} }},
			{Name: "revoke", Help: "Trust an issuer no more", Run: func() command.Runner { return &issuerRevoke{} }},
		}},
		{Name: "app", Help: "Applications, which sign in by themselves or people sign in to", Verbs: []command.Command{
			{Name: "create", Help: "Make an application", Run: func() command.Runner { return &appCreate{} }},
			{Name: "list", Help: "List applications, the oldest first", Run: func() command.Runner { return &appList{} }},
			{Name: "show", Help: "Show one application", Run: func() command.Runner { return &appShow{} }},
			{Name: "change", Help: "Change what an application may do", Run: func() command.Runner { return &appChange{} }},
			{Name: "revoke", Help: "Revoke an application and its tokens", Run: func() command.Runner { return &appRevoke{} }},
			{Name: "secret", Help: "Its secrets", Verbs: []command.Command{
				{Name: "add", Help: "Make one more secret", Run: func() command.Runner { return &secretAdd{} }},
				{Name: "remove", Help: "Remove a secret", Run: func() command.Runner { return &secretRemove{} }},
			}},
			{Name: "certificate", Help: "Its certificates", Verbs: []command.Command{
				{Name: "add", Help: "Register a certificate", Run: func() command.Runner { return &certificateAdd{} }},
				{Name: "remove", Help: "Remove a certificate", Run: func() command.Runner { return &certificateRemove{} }},
			}},
		}},
		{Name: "tenant", Help: "Tenants: organisations apart from one another", Verbs: []command.Command{
			{Name: "create", Help: "Make a tenant", Run: func() command.Runner { return &tenantCreate{} }},
			{Name: "list", Help: "List tenants, the oldest first", Run: func() command.Runner { return &tenantList{} }},
			{Name: "revoke", Help: "Shut a tenant out for good", Run: func() command.Runner { return &tenantRevoke{} }},
		}},
		{Name: "enrollment", Help: "Enrolment tokens", Verbs: []command.Command{
			{Name: "create", Help: "Make a token by which devices join", Run: func() command.Runner { return &enrollmentCreate{} }},
			{Name: "list", Help: "List the tokens by which devices join", Run: func() command.Runner { return &enrollmentList{} }},
			{Name: "revoke", Help: "Revoke an enrolment token", Run: func() command.Runner { return &enrollmentRevoke{} }},
		}},
		{Name: "retention", Help: "How long packages are kept", Verbs: []command.Command{
			{Name: "show", Help: "Show how long packages are kept", Run: func() command.Runner { return &retentionShow{} }},
			{Name: "set", Help: "Say how long packages are kept", Run: func() command.Runner { return &retentionSet{} }},
		}},
		{Name: "hold", Help: "Legal holds: what does not expire", Verbs: []command.Command{
			{Name: "add", Help: "Hold an action's package, or all of a device", Run: func() command.Runner { return &holdAdd{} }},
			{Name: "list", Help: "List legal holds, the oldest first", Run: func() command.Runner { return &holdList{} }},
			{Name: "remove", Help: "Remove a legal hold", Run: func() command.Runner { return &holdRemove{} }},
		}},
		{Name: "key", Help: "The server's keys", Verbs: []command.Command{
			{Name: "list", Help: "List the keys that sign access tokens", Run: func() command.Runner { return &keyList{} }},
			{Name: "rotate", Help: "Have the next key made", Run: func() command.Runner { return &keyRotate{} }},
		}},
		{Name: "audit", Help: "The audit log", Verbs: []command.Command{
			{Name: "list", Help: "Find entries of the audit log, the newest first", Run: func() command.Runner { return &auditList{} }},
			{Name: "show", Help: "Show one entry, and check that it is in the log", Run: func() command.Runner { return &auditShow{} }},
			{Name: "verify", Help: "Check the audit log, whole, against its signed checkpoint", Run: func() command.Runner { return &auditVerify{} }},
		}},
		{Name: "version", Help: "Say which release this is", Run: func() command.Runner { return &version{} }},
	}
}
