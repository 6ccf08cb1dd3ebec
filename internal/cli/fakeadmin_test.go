package cli_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"swab/internal/canon"
)

// What administrators made, with ids and secrets that are the same in each run.
const (
	appID     = "5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0001"
	secretID  = "5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0002"
	tenantTwo = "5b0f7a51-3d7e-4a8f-9a3c-0d6f1e2c0003"
)

// office answers what administrators ask for. s.mu is held by each answer.
type office struct {
	app     map[string]any // nil: not made
	tenants []map[string]any
}

func (s *service) administer(mux *http.ServeMux) {
	s.office.tenants = []map[string]any{{"id": tenant, "name": "default", "created": canon.FormatTime(epoch), "revoked": false}}
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request, in map[string]any) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			var in map[string]any
			_ = json.NewDecoder(r.Body).Decode(&in) // none, where there is no body
			if id := r.PathValue("app"); id != "" && (id != appID || s.office.app == nil) {
				refuse(w, 404, "ResourceNotFound", "Application "+id+" was not found")
				return
			}
			if out := h(w, r, in); out != nil {
				answer(w, out)
			}
		})
	}
	handle("POST /api/admin/v1/enrollments", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		w.WriteHeader(http.StatusCreated)
		return map[string]any{
			"id": tokenID, "token": "swab-enrol-t0ken", "name": in["name"], "created": canon.FormatTime(epoch), "remaining": in["count"], "expires": in["expires"],
			"revoked": false, "tags": append([]any{}, list(in["tags"])...),
		}
	})
	device := map[string]any{
		"id": deviceID(), "name": hostile, "reportedName": hostile, "health": "Active", "revoked": false, "retired": false, "tags": []any{},
		"keys": 1, "keyThumbprint": strings.Repeat("ab", 32), "keySince": nil, "rotationPending": false, "cloned": nil,
		"twins": []any{strings.Repeat("0", 40)}, "firstSeen": canon.FormatTime(epoch), "lastSeen": canon.FormatTime(epoch), "agentVersion": "0.1.0",
	}
	handle("GET /api/admin/v1/devices", func(_ http.ResponseWriter, r *http.Request, _ map[string]any) any {
		if r.FormValue("after") == "" && r.FormValue("name") == "" { // a part in which the caller sees nothing
			return map[string]any{"value": []any{}, "next": strings.Repeat("0", 40)}
		}
		return map[string]any{"value": []any{device}, "next": nil}
	})
	for route, change := range map[string]func(in map[string]any){
		"GET /api/admin/v1/devices/{id}": func(map[string]any) {},
		"PATCH /api/admin/v1/devices/{id}": func(in map[string]any) {
			if device["name"] = in["name"]; in["name"] == "" {
				device["name"] = device["reportedName"]
			}
		},
		"POST /api/admin/v1/devices/{id}/retire":    func(map[string]any) { device["retired"], device["health"] = true, "Inactive" },
		"POST /api/admin/v1/devices/{id}/restore":   func(map[string]any) { device["retired"], device["health"] = false, "Active" },
		"POST /api/admin/v1/devices/{id}/rotateKey": func(map[string]any) { device["rotationPending"] = true },
	} {
		handle(route, func(w http.ResponseWriter, r *http.Request, in map[string]any) any {
			if id := r.PathValue("id"); id != string(deviceID()) {
				refuse(w, 404, "ResourceNotFound", "Machine "+id+" was not found")
				return nil
			}
			change(in)
			return device
		})
	}
	handle("POST /api/admin/v1/devices/{id}/revoke", func(w http.ResponseWriter, r *http.Request, _ map[string]any) any {
		if id := r.PathValue("id"); id != string(deviceID()) {
			refuse(w, 404, "ResourceNotFound", "Machine "+id+" was not found")
			return nil
		}
		return map[string]any{"id": deviceID(), "name": hostile, "revoked": true}
	})
	handle("GET /api/admin/v1/apps", func(http.ResponseWriter, *http.Request, map[string]any) any {
		return map[string]any{"value": []any{s.office.app}}
	})
	handle("POST /api/admin/v1/apps", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		s.office.app = map[string]any{
			"id": appID, "name": in["name"], "roles": append([]any{}, list(in["roles"])...), "created": canon.FormatTime(epoch), "revoked": false,
			"secrets": []any{}, "certificates": []any{}, "clientSecret": nil,
		}
		if secret, ok := in["secret"].(map[string]any); ok {
			s.office.app["secrets"] = []any{credential(secretID, secret, epoch.AddDate(1, 0, 0))}
			made := maps.Clone(s.office.app)
			made["clientSecret"] = "cl1ent-s3cret"
			return made
		}
		return s.office.app
	})
	handle("GET /api/admin/v1/apps/{app}", func(http.ResponseWriter, *http.Request, map[string]any) any { return s.office.app })
	handle("POST /api/admin/v1/apps/{app}/revoke", func(http.ResponseWriter, *http.Request, map[string]any) any {
		s.office.app["revoked"] = true
		return s.office.app
	})
	handle("POST /api/admin/v1/apps/{app}/secrets", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		made := credential(secretID[:35]+"9", in, epoch.AddDate(1, 0, 0))
		s.office.app["secrets"] = append(list(s.office.app["secrets"]), made)
		w.WriteHeader(http.StatusCreated)
		made = maps.Clone(made)
		made["clientSecret"] = "another-s3cret"
		return made
	})
	handle("POST /api/admin/v1/apps/{app}/certificates", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		der, err := base64.StdEncoding.DecodeString(in["certificate"].(string))
		must(err)
		cert, err := x509.ParseCertificate(der)
		must(err)
		sum := sha256.Sum256(der)
		made := credential(hex.EncodeToString(sum[:]), in, cert.NotAfter)
		s.office.app["certificates"] = append(list(s.office.app["certificates"]), made)
		w.WriteHeader(http.StatusCreated)
		return made
	})
	for what, among := range map[string]string{"Secret": "secrets", "Certificate": "certificates"} {
		handle("DELETE /api/admin/v1/apps/{app}/"+among+"/{id}", func(w http.ResponseWriter, r *http.Request, _ map[string]any) any {
			have := list(s.office.app[among])
			left := slices.DeleteFunc(slices.Clone(have), func(k any) bool { return k.(map[string]any)["id"] == r.PathValue("id") })
			if len(left) == len(have) {
				refuse(w, 404, "ResourceNotFound", what+" "+r.PathValue("id")+" of application "+appID+" was not found")
				return nil
			}
			s.office.app[among] = left
			return s.office.app
		})
	}
	handle("GET /api/admin/v1/tenants", func(http.ResponseWriter, *http.Request, map[string]any) any {
		return map[string]any{"value": s.office.tenants}
	})
	handle("POST /api/admin/v1/tenants", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		if in["name"] == "default" {
			refuse(w, 400, "InvalidInput", "Tenant default exists already")
			return nil
		}
		s.office.tenants = append(s.office.tenants, map[string]any{"id": tenantTwo, "name": in["name"], "created": canon.FormatTime(epoch), "revoked": false})
		w.WriteHeader(http.StatusCreated)
		return map[string]any{
			"apiBase": s.URL, "authority": s.URL + "/" + tenantTwo, "tenantId": tenantTwo, "tenantName": in["name"], "clientId": appID,
			"clientSecret": "tenant-s3cret", "enrollmentToken": "swab-enrol-t0ken", "caFile": "", "receiptKey": public(key("receipt")), "logKey": public(key("log")),
			"warning": "the name has the word token in it",
		}
	})
	handle("POST /api/admin/v1/tenants/{id}/revoke", func(w http.ResponseWriter, r *http.Request, _ map[string]any) any {
		for _, t := range s.office.tenants {
			if t["id"] == r.PathValue("id") {
				t["revoked"] = true
				return t
			}
		}
		refuse(w, 404, "ResourceNotFound", "Tenant "+r.PathValue("id")+" was not found")
		return nil
	})
}

func credential(id string, in map[string]any, until time.Time) map[string]any {
	expires := in["expires"]
	if expires == nil {
		expires = canon.FormatTime(until)
	}
	name, _ := in["name"].(string)
	return map[string]any{"id": id, "name": name, "created": canon.FormatTime(epoch), "expires": expires}
}

func list(v any) []any { l, _ := v.([]any); return l }
