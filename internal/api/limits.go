package api

import (
	"context"
	"errors"

	"swab/internal/fault"
	"swab/internal/limit"
)

// limited is a route as its calls are counted.
type limited struct {
	route string // method and pattern, as in the table of routes
	name  string // in settings, messages and docs/limits.md; routes of one name are counted together
	limit.Figures
}

// usual are the limits that Defender documents for nearly all of its APIs.
var usual = limit.Figures{Minute: 100, Hour: 1500}

// many are the limits of what is done by the thousand.
var many = limit.Figures{Minute: 600, Hour: 20_000}

// limits names each route that needs a token and gives its limits where the
// settings have no others. Defender's routes have the figures that it documents.
// Of our own the audit log's differ: an auditor who verifies a log of millions of
// entries, a thousand a page, must come to its end within the day. So do those of
// users and who is in which user group, which are brought over from elsewhere.
// Links to packages have none: who may ask for a link is limited, and a
// download that broke off is taken up again.
var limits = []limited{
	{"POST api/machines/{machine}/collectInvestigationPackage", "collectInvestigationPackage", usual},
	{"GET api/machines", "listMachines", usual},
	{"GET api/machines/$count", "listMachines", usual},
	{"GET api/machines/findbyip({arguments})", "findMachinesByIp", usual},
	{"GET api/machines/findbytag", "findMachinesByTag", usual},
	{"POST api/machines/AddOrRemoveTagForMultipleMachines", "tagMachines", usual},
	{"GET api/machines/{machine}", "getMachine", usual},
	{"GET api/machines/{machine}/machineactions", "listActionsOfMachine", usual},
	{"GET api/machines/{machine}/machineactions/$count", "listActionsOfMachine", usual},
	{"PATCH api/machines/{machine}", "updateMachine", usual},
	{"POST api/machines/{machine}/tags", "tagMachine", usual},
	{"POST api/machines/{machine}/setDeviceValue", "setDeviceValue", usual},
	{"GET api/machines/{machine}/availableMachineActions", "listAvailableActions", usual},

	{"GET api/machineactions", "listMachineActions", usual},
	{"GET api/machineactions/$count", "listMachineActions", usual},
	{"GET api/machineactions/{action}", "getMachineAction", usual},
	{"POST api/machineactions/{action}/cancel", "cancelMachineAction", usual},
	{"GET api/machineactions/{action}/getPackageUri", "getPackageUri", limit.Figures{Minute: 2, Hour: 120}},

	{"GET api/alerts", "listAlerts", usual},
	{"GET api/alerts/$count", "listAlerts", usual},
	{"GET api/exposureScore", "getExposureScore", usual},

	{"POST api/machines/{machine}/isolate", "isolate", usual},
	{"POST api/machines/{machine}/unisolate", "unisolate", usual},
	{"POST api/machines/{machine}/restrictCodeExecution", "restrictCodeExecution", usual},
	{"POST api/machines/{machine}/unrestrictCodeExecution", "unrestrictCodeExecution", usual},
	{"POST api/machines/{machine}/runAntiVirusScan", "runAntiVirusScan", usual},
	{"POST api/machines/{machine}/offboard", "offboard", usual},
	{"POST api/machines/{machine}/StopAndQuarantineFile", "StopAndQuarantineFile", usual},
	{"POST api/machines/{machine}/runliveresponse", "runliveresponse", limit.Figures{Minute: 10, Hour: 1500}},
	{"POST api/machines/{machine}/startInvestigation", "startInvestigation", usual},

	{"GET api/swab/v1/audit", "readAuditLog", many},
	{"GET api/swab/v1/audit/entries", "searchAuditLog", usual},
	{"GET api/swab/v1/audit/entries/{index}", "getAuditEntry", usual},
	{"GET api/swab/v1/actions/{action}/attempts/{attempt}", "getAttempt", usual},

	{"GET api/admin/v1/apps", "listApps", usual},
	{"POST api/admin/v1/apps", "createApp", usual},
	{"GET api/admin/v1/apps/{app}", "getApp", usual},
	{"PATCH api/admin/v1/apps/{app}", "changeApp", usual},
	{"POST api/admin/v1/apps/{app}/revoke", "revokeApp", usual},
	{"POST api/admin/v1/apps/{app}/secrets", "addSecret", usual},
	{"DELETE api/admin/v1/apps/{app}/secrets/{secret}", "removeSecret", usual},
	{"POST api/admin/v1/apps/{app}/certificates", "addCertificate", usual},
	{"DELETE api/admin/v1/apps/{app}/certificates/{certificate}", "removeCertificate", usual},
	{"GET api/admin/v1/users", "listUsers", many},
	{"POST api/admin/v1/users", "createUser", many},
	{"GET api/admin/v1/users/{user}", "getUser", many},
	{"PATCH api/admin/v1/users/{user}", "changeUser", many},
	{"POST api/admin/v1/users/{user}/disable", "disableUser", many},
	{"POST api/admin/v1/users/{user}/enable", "enableUser", usual},
	{"POST api/admin/v1/users/{user}/resetPassword", "resetPassword", usual},
	{"POST api/admin/v1/users/{user}/resetTotp", "resetTotp", usual},
	{"GET api/admin/v1/users/{user}/sessions", "listSessions", usual},
	{"POST api/admin/v1/users/{user}/revokeSessions", "revokeSessions", usual},
	{"GET api/admin/v1/userGroups", "listUserGroups", usual},
	{"POST api/admin/v1/userGroups", "createUserGroup", usual},
	{"GET api/admin/v1/userGroups/{userGroup}", "getUserGroup", usual},
	{"PATCH api/admin/v1/userGroups/{userGroup}", "changeUserGroup", usual},
	{"DELETE api/admin/v1/userGroups/{userGroup}", "deleteUserGroup", usual},
	{"GET api/admin/v1/userGroups/{userGroup}/members", "listMembers", many},
	{"PUT api/admin/v1/userGroups/{userGroup}/members/{user}", "addMember", many},
	{"DELETE api/admin/v1/userGroups/{userGroup}/members/{user}", "removeMember", many},
	{"GET api/admin/v1/roles", "listRoles", usual},
	{"POST api/admin/v1/roles", "createRole", usual},
	{"GET api/admin/v1/roles/{role}", "getRole", usual},
	{"PATCH api/admin/v1/roles/{role}", "changeRole", usual},
	{"DELETE api/admin/v1/roles/{role}", "deleteRole", usual},
	{"GET api/admin/v1/deviceGroups", "listDeviceGroups", usual},
	{"POST api/admin/v1/deviceGroups", "createDeviceGroup", usual},
	{"POST api/admin/v1/deviceGroups/preview", "previewRule", usual},
	{"POST api/admin/v1/deviceGroups/order", "orderDeviceGroups", usual},
	{"GET api/admin/v1/deviceGroups/{deviceGroup}", "getDeviceGroup", usual},
	{"PATCH api/admin/v1/deviceGroups/{deviceGroup}", "changeDeviceGroup", usual},
	{"DELETE api/admin/v1/deviceGroups/{deviceGroup}", "deleteDeviceGroup", usual},
	{"GET api/admin/v1/issuers", "listIssuers", usual},
	{"POST api/admin/v1/issuers", "createIssuer", usual},
	{"GET api/admin/v1/issuers/{issuer}", "getIssuer", usual},
	{"PATCH api/admin/v1/issuers/{issuer}", "changeIssuer", usual},
	{"POST api/admin/v1/issuers/{issuer}/revoke", "revokeIssuer", usual},
	{"GET api/admin/v1/enrollments", "listEnrollments", usual},
	{"POST api/admin/v1/enrollments", "createEnrollment", usual},
	{"POST api/admin/v1/enrollments/{enrollment}/revoke", "revokeEnrollment", usual},
	{"GET api/admin/v1/tenants", "listTenants", usual},
	{"POST api/admin/v1/tenants", "createTenant", usual},
	{"POST api/admin/v1/tenants/{tenant}/revoke", "revokeTenant", usual},
	{"GET api/admin/v1/devices", "listDevices", usual},
	{"GET api/admin/v1/devices/{device}", "getDevice", usual},
	{"PATCH api/admin/v1/devices/{device}", "renameDevice", usual},
	{"POST api/admin/v1/devices/{device}/retire", "retireDevice", usual},
	{"POST api/admin/v1/devices/{device}/restore", "restoreDevice", usual},
	{"POST api/admin/v1/devices/{device}/rotateKey", "rotateDeviceKey", usual},
	{"POST api/admin/v1/devices/{device}/revoke", "revokeDevice", usual},
	{"GET api/admin/v1/retention", "getRetention", usual},
	{"PATCH api/admin/v1/retention", "changeRetention", usual},
	{"GET api/admin/v1/holds", "listHolds", usual},
	{"POST api/admin/v1/holds", "addHold", usual},
	{"DELETE api/admin/v1/holds/{hold}", "removeHold", usual},
	{"GET api/admin/v1/keys/access-tokens", "listKeys", usual},
	{"POST api/admin/v1/keys/access-tokens/rotate", "rotateKey", usual},
}

// Limits are the limits of each API by its name, where the settings have no
// others.
func Limits() map[string]limit.Figures {
	by := map[string]limit.Figures{}
	for _, l := range limits {
		by[l.name] = l.Figures
	}
	return by
}

// limitsOf are the limits by route, with what the settings have of others.
func limitsOf(set map[string]limit.Figures) map[string]limited {
	by := map[string]limited{}
	for _, l := range limits {
		if f, ok := set[l.name]; ok {
			l.Figures = f
		}
		by[l.route] = l
	}
	return by
}

// charge makes what takes one call of the caller's limit, for a caller whose
// token is good: at the first time that it is asked, and never again, since an
// operation may ask for its permission more than once.
func (a *API) charge(c *call, rt route) func(context.Context) error {
	l, ok := a.limits[rt.method+" "+rt.pattern]
	if !ok || a.Limiter == nil || l.Off() {
		return nil
	}
	key := limit.Key{Tenant: c.who.Tenant, Caller: string(c.who.Kind) + "/" + c.who.ID, API: l.name}
	asked, err := false, error(nil)
	return func(ctx context.Context) error {
		if !asked {
			asked, err = true, a.Limiter.Take(ctx, key, l.Figures)
		}
		return err
	}
}

// counted is err, or that the call is over its limit. An operation takes its call
// when it has asked for the permission; here it is taken for what never came so
// far: a request that was refused for its form, which a client may repeat without
// a pause, and one that needs no permission.
func (c *call) counted(ctx context.Context, err error) error {
	if c.who.Charge == nil || errors.Is(err, fault.Forbidden) {
		return err
	}
	if over := c.who.Charge(ctx); over != nil {
		return over
	}
	return err
}
