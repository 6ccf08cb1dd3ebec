package cli_test

import (
	"encoding/json"
	"net/http"
	"slices"

	"swab/internal/canon"
)

// selections are the filters that the scripts ask by, and whether the one device
// or the one action is among what they select.
var selections = map[string]bool{
	"":                               true,
	"osPlatform eq 'Debian'":         true,
	"machineTags/any(t: t eq 'Web')": false,
	"(osPlatform eq 'Debian' or x eq 1) and machineTags/any(t: t eq 'O''Neil')": true,
	"status eq 'Pending'": true,
	"status eq 'Failed'":  false,
}

// fleet adds the routes of devices, and those that list actions.
func (s *service) fleet(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/machines", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		selected(w, r, s.machine())
	})
	mux.HandleFunc("GET /api/machines/{id}", s.ofMachine(func(*http.Request) {}))
	mux.HandleFunc("POST /api/machines/{id}/tags", s.ofMachine(func(r *http.Request) {
		var change struct{ Value, Action string }
		must(json.NewDecoder(r.Body).Decode(&change))
		s.tags = slices.DeleteFunc(s.tags, func(t string) bool { return t == change.Value })
		if change.Action == "Add" {
			s.tags = append(s.tags, change.Value)
		}
	}))
	mux.HandleFunc("POST /api/machines/{id}/setDeviceValue", s.ofMachine(func(r *http.Request) {
		var change struct{ DeviceValue string }
		must(json.NewDecoder(r.Body).Decode(&change))
		s.value = change.DeviceValue
	}))
	actions := func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.status == "" {
			answer(w, map[string]any{"value": []any{}})
			return
		}
		selected(w, r, s.shown())
	}
	mux.HandleFunc("GET /api/machineactions", actions)
	mux.HandleFunc("GET /api/machines/{id}/machineactions", func(w http.ResponseWriter, r *http.Request) {
		if known(w, r) {
			actions(w, r)
		}
	})
}

// selected answers with one row if the filter selects it.
func selected(w http.ResponseWriter, r *http.Request, row any) {
	filter := r.FormValue("$filter")
	there, ok := selections[filter]
	if !ok {
		refuse(w, http.StatusBadRequest, "ODataError", "The filter is none of the scripts: "+filter)
		return
	}
	rows := []any{}
	if there {
		rows = append(rows, row)
	}
	answer(w, map[string]any{"value": rows})
}

// known answers that a device is not there, where it isn't.
func known(w http.ResponseWriter, r *http.Request) bool {
	id := r.PathValue("id")
	ok := id == "web1" || id == string(deviceID())
	if !ok {
		refuse(w, http.StatusNotFound, "ResourceNotFound", "Machine "+id+" was not found")
	}
	return ok
}

// ofMachine changes the device and answers with it.
func (s *service) ofMachine(change func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !known(w, r) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		change(r)
		answer(w, s.machine())
	}
}

// machine is the device as the contract has it. s.mu is held.
func (s *service) machine() map[string]any {
	value := s.value
	if value == "" {
		value = "Normal"
	}
	return map[string]any{
		"id": deviceID(), "computerDnsName": hostile, "firstSeen": canon.FormatTime(epoch), "lastSeen": canon.FormatTime(epoch),
		"osPlatform": "Debian", "version": "12.11", "osProcessor": "x64", "osArchitecture": "64-bit", "osBuild": nil,
		"lastIpAddress": "192.0.2.7", "lastExternalIpAddress": "192.0.2.7", "healthStatus": "Active", "deviceValue": value,
		"ipAddresses":      []any{map[string]any{"ipAddress": "192.0.2.7", "macAddress": nil, "type": "Ethernet", "operationalStatus": "Up"}},
		"onboardingStatus": "Onboarded", "machineTags": append([]string{}, s.tags...), "agentVersion": "0.1.0",
		"riskScore": nil, "exposureLevel": nil, "aadDeviceId": nil,
	}
}
