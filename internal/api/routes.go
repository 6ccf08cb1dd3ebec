package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"swab/internal/fault"
)

// route is one line of the API. Words of a pattern are matched without regard
// to case, as Defender does; what stands in braces takes any text: a segment, or
// the arguments of a function.
type route struct {
	method  string // a GET is a HEAD too
	pattern string
	open    bool // needs no token: a signed link
	serve   handler
}

// table is the whole surface, in order. Under /api a route stands for /api/v1.0
// as well, Swab's own apart, which have their own version.
func (a *API) table() []route {
	routes := []route{
		{"POST", "api/machines/{machine}/collectInvestigationPackage", false, answer(a.collect)},
		{"GET", "api/machines", false, answer(a.machines)},
		{"GET", "api/machines/$count", false, count(machineList, a.listMachines)},
		{"GET", "api/machines/findbyip({arguments})", false, answer(a.findByIP)},
		{"GET", "api/machines/findbytag", false, answer(a.findByTag)},
		{"POST", "api/machines/AddOrRemoveTagForMultipleMachines", false, answer(a.tagMany)},
		{"GET", "api/machines/{machine}", false, answer(a.machine)},
		{"GET", "api/machines/{machine}/machineactions", false, answer(a.actionsOf)},
		{"GET", "api/machines/{machine}/machineactions/$count", false, count(actionList, a.listActionsOf)},
		{"PATCH", "api/machines/{machine}", false, answer(a.updateMachine)},
		{"POST", "api/machines/{machine}/tags", false, answer(a.tags)},
		{"POST", "api/machines/{machine}/setDeviceValue", false, answer(a.setDeviceValue)},
		{"GET", "api/machines/{machine}/availableMachineActions", false, answer(a.availableActions)},

		{"GET", "api/machineactions", false, answer(a.actions)},
		{"GET", "api/machineactions/$count", false, count(actionList, a.listActions)},
		{"GET", "api/machineactions/{action}", false, answer(a.action)},
		{"POST", "api/machineactions/{action}/cancel", false, answer(a.cancel)},
		{"GET", "api/machineactions/{action}/getPackageUri", false, answer(a.packageURI)},

		{"GET", "api/alerts", false, answer(a.alerts)},
		{"GET", "api/alerts/$count", false, a.countAlerts},
		{"GET", "api/exposureScore", false, answer(a.exposureScore)},

		{"GET", "api/swab/v1/audit", false, answer(a.audit)},
		{"GET", "api/swab/v1/audit/entries", false, answer(a.entries)},
		{"GET", "api/swab/v1/audit/entries/{index}", false, answer(a.entry)},
		{"GET", "api/swab/v1/actions/{action}/attempts/{attempt}", false, a.attempt},

		{"GET", "api/admin/v1/apps", false, answer(a.apps)},
		{"POST", "api/admin/v1/apps", false, answer(a.createApp)},
		{"GET", "api/admin/v1/apps/{app}", false, answer(a.app)},
		{"PATCH", "api/admin/v1/apps/{app}", false, answer(a.changeApp)},
		{"POST", "api/admin/v1/apps/{app}/revoke", false, answer(a.revokeApp)},
		{"POST", "api/admin/v1/apps/{app}/secrets", false, answer(a.addSecret)},
		{"DELETE", "api/admin/v1/apps/{app}/secrets/{secret}", false, answer(a.removeSecret)},
		{"POST", "api/admin/v1/apps/{app}/certificates", false, answer(a.addCertificate)},
		{"DELETE", "api/admin/v1/apps/{app}/certificates/{certificate}", false, answer(a.removeCertificate)},
		{"GET", "api/admin/v1/users", false, answer(a.users)},
		{"POST", "api/admin/v1/users", false, answer(a.createUser)},
		{"GET", "api/admin/v1/users/{user}", false, answer(a.user)},
		{"PATCH", "api/admin/v1/users/{user}", false, answer(a.changeUser)},
		{"POST", "api/admin/v1/users/{user}/disable", false, answer(a.disableUser)},
		{"POST", "api/admin/v1/users/{user}/enable", false, answer(a.enableUser)},
		{"POST", "api/admin/v1/users/{user}/resetPassword", false, answer(a.resetPassword)},
		{"POST", "api/admin/v1/users/{user}/resetTotp", false, answer(a.resetTOTP)},
		{"GET", "api/admin/v1/users/{user}/sessions", false, answer(a.sessions)},
		{"POST", "api/admin/v1/users/{user}/revokeSessions", false, answer(a.revokeSessions)},
		{"GET", "api/admin/v1/userGroups", false, answer(a.userGroups)},
		{"POST", "api/admin/v1/userGroups", false, answer(a.createUserGroup)},
		{"GET", "api/admin/v1/userGroups/{userGroup}", false, answer(a.userGroup)},
		{"PATCH", "api/admin/v1/userGroups/{userGroup}", false, answer(a.changeUserGroup)},
		{"DELETE", "api/admin/v1/userGroups/{userGroup}", false, answer(a.deleteUserGroup)},
		{"GET", "api/admin/v1/userGroups/{userGroup}/members", false, answer(a.members)},
		{"PUT", "api/admin/v1/userGroups/{userGroup}/members/{user}", false, answer(a.addMember)},
		{"DELETE", "api/admin/v1/userGroups/{userGroup}/members/{user}", false, answer(a.removeMember)},
		{"GET", "api/admin/v1/roles", false, answer(a.roles)},
		{"POST", "api/admin/v1/roles", false, answer(a.createRole)},
		{"GET", "api/admin/v1/roles/{role}", false, answer(a.role)},
		{"PATCH", "api/admin/v1/roles/{role}", false, answer(a.changeRole)},
		{"DELETE", "api/admin/v1/roles/{role}", false, answer(a.deleteRole)},
		{"GET", "api/admin/v1/deviceGroups", false, answer(a.deviceGroups)},
		{"POST", "api/admin/v1/deviceGroups", false, answer(a.createDeviceGroup)},
		{"POST", "api/admin/v1/deviceGroups/preview", false, answer(a.previewRule)},
		{"POST", "api/admin/v1/deviceGroups/order", false, answer(a.orderDeviceGroups)},
		{"GET", "api/admin/v1/deviceGroups/{deviceGroup}", false, answer(a.deviceGroup)},
		{"PATCH", "api/admin/v1/deviceGroups/{deviceGroup}", false, answer(a.changeDeviceGroup)},
		{"DELETE", "api/admin/v1/deviceGroups/{deviceGroup}", false, answer(a.deleteDeviceGroup)},
		{"GET", "api/admin/v1/issuers", false, answer(a.issuers)},
		{"POST", "api/admin/v1/issuers", false, answer(a.createIssuer)},
		{"GET", "api/admin/v1/issuers/{issuer}", false, answer(a.issuer)},
		{"PATCH", "api/admin/v1/issuers/{issuer}", false, answer(a.changeIssuer)},
		{"POST", "api/admin/v1/issuers/{issuer}/revoke", false, answer(a.revokeIssuer)},
		{"GET", "api/admin/v1/enrollments", false, answer(a.enrollments)},
		{"POST", "api/admin/v1/enrollments", false, answer(a.createEnrollment)},
		{"POST", "api/admin/v1/enrollments/{enrollment}/revoke", false, answer(a.revokeEnrollment)},
		{"GET", "api/admin/v1/tenants", false, answer(a.tenants)},
		{"POST", "api/admin/v1/tenants", false, answer(a.createTenant)},
		{"POST", "api/admin/v1/tenants/{tenant}/revoke", false, answer(a.revokeTenant)},
		{"GET", "api/admin/v1/devices", false, answer(a.devices)},
		{"GET", "api/admin/v1/devices/{device}", false, answer(a.device)},
		{"PATCH", "api/admin/v1/devices/{device}", false, answer(a.renameDevice)},
		{"POST", "api/admin/v1/devices/{device}/retire", false, answer(a.retireDevice)},
		{"POST", "api/admin/v1/devices/{device}/restore", false, answer(a.restoreDevice)},
		{"POST", "api/admin/v1/devices/{device}/rotateKey", false, answer(a.rotateDeviceKey)},
		{"POST", "api/admin/v1/devices/{device}/revoke", false, answer(a.revokeDevice)},
		{"GET", "api/admin/v1/retention", false, answer(a.retention)},
		{"PATCH", "api/admin/v1/retention", false, answer(a.changeRetention)},
		{"GET", "api/admin/v1/holds", false, answer(a.legalHolds)},
		{"POST", "api/admin/v1/holds", false, answer(a.addHold)},
		{"DELETE", "api/admin/v1/holds/{hold}", false, answer(a.removeHold)},
		{"GET", "api/admin/v1/keys/access-tokens", false, answer(a.tokenKeys)},
		{"POST", "api/admin/v1/keys/access-tokens/rotate", false, answer(a.rotateTokenKey)},

		{"GET", "packages/{tenant}/{file}", true, a.download},
	}
	for _, name := range otherActions {
		routes = append(routes, route{"POST", "api/machines/{machine}/" + name, false, answer(a.otherAction(name))})
	}
	return routes
}

// own are the words below /api of what Defender does not have.
var own = []string{"swab", "admin"}

// match finds a request's route and what its path names. The prefix is /api or
// /api/v1.0, as the request had it. Where there is none the error says so, and
// for a wrong method allow lists the right ones.
func (a *API) match(r *http.Request) (found route, path map[string]string, prefix string, allow []string, err error) {
	segments, ok := split(r.URL)
	prefix = "/api"
	if len(segments) > 2 && fold(segments[0]) == "api" && fold(segments[1]) == "v1.0" && !slices.Contains(own, fold(segments[2])) {
		prefix = "/api/v1.0"
		segments = slices.Delete(segments, 1, 2)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, rt := range a.routes {
		values, fits := rt.fits(segments)
		switch {
		case !ok || !fits:
		case rt.method == method:
			return rt, values, prefix, nil, nil
		default:
			allow = append(allow, rt.method)
			if rt.method == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
		}
	}
	if allow != nil {
		return route{}, nil, prefix, allow, fault.MethodNotAllowed.Errorf(nil, "The requested resource does not support http method '%s'.", clip(r.Method))
	}
	return route{}, nil, prefix, nil, fault.NoRoute.Errorf(nil,
		"No HTTP resource was found that matches the request URI '%s'.", clip(a.Origin.Base(r)+r.URL.EscapedPath()))
}

// fits says whether segments are of the route, and what stands in its braces.
func (rt route) fits(segments []string) (map[string]string, bool) {
	words := strings.Split(rt.pattern, "/")
	if len(words) != len(segments) {
		return nil, false
	}
	values := map[string]string{}
	for i, w := range words {
		before, rest, braces := strings.Cut(w, "{")
		name, after, _ := strings.Cut(rest, "}")
		s := segments[i]
		switch {
		case !braces && fold(s) != fold(w):
			return nil, false
		case braces && len(s) > len(before)+len(after) && fold(s[:len(before)]) == fold(before) && s[len(s)-len(after):] == after:
			values[name] = s[len(before) : len(s)-len(after)]
		case braces:
			return nil, false
		}
	}
	return values, true
}

// split returns the decoded segments of a path; one slash at the end is
// nothing. ok is false where a segment is empty or does not decode: such a path
// is of no route. Segments are compared and looked up, and never become a path
// again, so that .. or an encoded slash in one is only an odd name.
func split(u *url.URL) (segments []string, ok bool) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for s := range strings.SplitSeq(path, "/") {
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == "" {
			return segments, false
		}
		segments = append(segments, decoded)
	}
	return segments, true
}

// fold is the one form in which words of a path are compared.
func fold(word string) string { return strings.ToLower(word) }
