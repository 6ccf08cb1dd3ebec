package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
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
	apps    []map[string]any
	tenants []map[string]any
	made    int // things that have ids
	directory
}

// id is one that nothing else has, the same in each run.
func (o *office) id(kind byte) string {
	o.made++
	return fmt.Sprintf("5b0f7a51-3d7e-4a8f-9a3c-%c00000000%03d", kind, o.made)
}

func (s *service) administer(mux *http.ServeMux) {
	s.office.tenants = []map[string]any{{"id": tenant, "name": "default", "created": canon.FormatTime(epoch), "revoked": false}}
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request, in map[string]any) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			var in map[string]any
			_ = json.NewDecoder(r.Body).Decode(&in) // none, where there is no body
			if id := r.PathValue("app"); id != "" && s.office.app(r) == nil {
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
	s.applications(handle)
	s.people(handle)
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

// list is a list, never null.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{}
}
