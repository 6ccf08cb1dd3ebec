package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"swab/internal/canon"
)

// keys serves the keys of access tokens: one that signs, and the next once it
// was asked for.
func (s *service) keys(mux *http.ServeMux) {
	const path = "/api/admin/v1/keys/access-tokens"
	id := func(c string) string { return strings.Repeat(c, 64) }
	next := map[string]any{"id": id("b"), "state": "announced", "from": canon.FormatTime(epoch.Add(10 * time.Minute)), "until": nil}
	present := map[string]any{"id": id("a"), "state": "signs", "from": canon.FormatTime(epoch), "until": nil}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"value": []any{next, present}})
	})
	mux.HandleFunc("POST "+path+"/rotate", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Withdraw bool }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			refuse(w, 400, "InvalidRequestBody", err.Error())
			return
		}
		if in.Withdraw {
			next["state"] = "signs"
		}
		answer(w, next)
	})
}
