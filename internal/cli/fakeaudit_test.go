package cli_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"swab/internal/audit"
)

// search adds the routes by which entries are found and proved. The first to ask
// finds that a person changed a role meanwhile. A page has two entries.
func (s *service) search(mux *http.ServeMux) {
	changed := sync.OnceFunc(func() {
		var c audit.Changes
		c.Add("name", "Tier 1", hostile)
		c.AddList("permissions", []string{"ViewData", "AlertsInvestigation"}, []string{"AlertsInvestigation", "Administrator"})
		c.AddSecret("password")
		s.f.log.add(audit.Leaf{Act: audit.ActChangeRole, Object: tokenID, Detail: "x"}, audit.Hidden{
			Who: "user/" + tokenID, Name: "ann@contoso.example", From: "192.0.2.9", Correlation: "c-9", Comment: c.String(),
		})
	})
	mux.HandleFunc("GET /api/swab/v1/audit/entries", func(w http.ResponseWriter, r *http.Request) {
		changed()
		l, q := s.f.log, r.URL.Query()
		if d := q.Get("device"); d == "nosuch" {
			refuse(w, 404, "ResourceNotFound", "Machine nosuch was not found")
			return
		}
		if acts := q["act"]; len(acts) == 1 && acts[0] == "Wrong" {
			refuse(w, 400, "InvalidInput", "act is the name of an act, such as action.collect, or of several, such as user.*: Wrong")
			return
		}
		from := len(l.entries)
		if n, err := strconv.Atoi(q.Get("after")); err == nil {
			from = n
		}
		value, next := []any{}, ""
		for i := from - 1; i >= 0; i-- {
			e := l.entries[i]
			h := e.Opening.Hidden
			if a := q.Get("act"); a != "" && a != string(e.Leaf.Act) && !strings.HasPrefix(string(e.Leaf.Act), strings.TrimSuffix(a, "*")) ||
				q.Get("user") != "" && q.Get("user") != h.Name || q.Get("result") == audit.Refused || q.Get("since") > e.Leaf.Time {
				continue
			}
			if len(value) == 2 {
				next = strconv.Itoa(i + 1)
				break
			}
			record := map[string]any{
				"index": i, "time": e.Leaf.Time, "act": e.Leaf.Act, "object": e.Leaf.Object, "device": e.Leaf.Device, "profile": e.Leaf.Profile,
				"result": e.Leaf.Result, "detail": e.Leaf.Detail, "who": h.Who, "name": h.Name, "from": h.From, "correlation": h.Correlation, "comment": h.Comment,
			}
			if c, ok := audit.ParseChanges(h.Comment); ok {
				record["comment"], record["changes"] = "", c.Fields
			}
			value = append(value, record)
		}
		answer(w, map[string]any{"value": value, "next": next})
	})
	mux.HandleFunc("GET /api/swab/v1/audit/entries/{index}", func(w http.ResponseWriter, r *http.Request) {
		changed()
		l := s.f.log
		i, err := strconv.Atoi(r.PathValue("index"))
		if err != nil || i < 0 || i >= len(l.entries) {
			refuse(w, 404, "ResourceNotFound", "Audit entry "+r.PathValue("index")+" was not found")
			return
		}
		leaf, opening := l.entries[i].Leaf.Bytes(), l.entries[i].Opening
		inclusion, err := tlog.ProveRecord(int64(len(l.entries)), int64(i), tlog.HashReaderFunc(l.read))
		must(err)
		if l.lie != nil {
			leaf = l.lie(i, leaf, &opening)
		}
		answer(w, map[string]any{
			"index": i, "leaf": leaf, "hash": []byte{}, "opening": opening, "inclusion": inclusion,
			"checkpoint": l.checkpoint(key("log")), "logKey": public(key("log")), "entry": map[string]any{"index": i, "time": l.entries[i].Leaf.Time},
		})
	})
}
