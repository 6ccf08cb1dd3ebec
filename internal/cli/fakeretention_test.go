package cli_test

import (
	"encoding/json"
	"net/http"

	"swab/internal/canon"
)

// keeping is what the retention routes have kept. s.mu is held.
type keeping struct {
	policy map[string]any
	holds  []map[string]any
}

const holdID = "9d0e5b6f-7a8c-4d10-8f3a-0d6f1e2c0001"

// retention adds the routes of how long packages are kept.
func (s *service) retention(mux *http.ServeMux) {
	s.kept = keeping{policy: map[string]any{"days": nil, "packages": nil, "bytes": nil}, holds: []map[string]any{}}
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request, in map[string]any) any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			var in map[string]any
			_ = json.NewDecoder(r.Body).Decode(&in) // none, where there is no body
			if out := h(w, r, in); out != nil {
				answer(w, out)
			}
		})
	}
	handle("GET /api/admin/v1/retention", func(http.ResponseWriter, *http.Request, map[string]any) any { return s.kept.policy })
	handle("PATCH /api/admin/v1/retention", func(_ http.ResponseWriter, _ *http.Request, in map[string]any) any {
		for name, figure := range in {
			s.kept.policy[name] = figure
		}
		return s.kept.policy
	})
	handle("GET /api/admin/v1/holds", func(http.ResponseWriter, *http.Request, map[string]any) any {
		return map[string]any{"value": s.kept.holds}
	})
	handle("POST /api/admin/v1/holds", func(w http.ResponseWriter, _ *http.Request, in map[string]any) any {
		if in["device"] != "web1" && in["action"] != actionID {
			refuse(w, 404, "ResourceNotFound", "It was not found")
			return nil
		}
		h := map[string]any{"id": holdID, "device": deviceID(), "action": in["action"], "reason": in["reason"], "holder": hostile, "created": canon.FormatTime(epoch)}
		s.kept.holds = append(s.kept.holds, h)
		w.WriteHeader(http.StatusCreated)
		return h
	})
	handle("DELETE /api/admin/v1/holds/{hold}", func(w http.ResponseWriter, r *http.Request, _ map[string]any) any {
		if len(s.kept.holds) == 0 || r.PathValue("hold") != holdID {
			refuse(w, 404, "ResourceNotFound", "Hold "+r.PathValue("hold")+" was not found")
			return nil
		}
		h := s.kept.holds[0]
		s.kept.holds = s.kept.holds[1:]
		return h
	})
}
