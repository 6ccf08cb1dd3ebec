package cli_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"

	"swab/internal/canon"
)

// thing is something that administrators made, as the API has it.
type thing = map[string]any

// route adds a route; what its handler returns is the answer, nil where it has
// answered already. s.mu is held by each.
type route func(pattern string, h func(w http.ResponseWriter, r *http.Request, in thing) any)

// app is the application that a request's address names.
func (o *office) app(r *http.Request) thing {
	at := slices.IndexFunc(o.apps, func(a thing) bool { return a["id"] == r.PathValue("app") })
	if at < 0 {
		return nil
	}
	return o.apps[at]
}

// applications adds the routes of applications.
func (s *service) applications(handle route) {
	o := &s.office
	handle("GET /api/admin/v1/apps", func(http.ResponseWriter, *http.Request, thing) any {
		return thing{"value": append([]thing{}, o.apps...)}
	})
	handle("POST /api/admin/v1/apps", func(w http.ResponseWriter, _ *http.Request, in thing) any {
		id := appID
		if len(o.apps) > 0 {
			id = o.id('a')
		}
		app := thing{
			"id": id, "name": in["name"], "roles": list(in["roles"]), "scopes": list(in["scopes"]), "redirects": list(in["redirects"]), "public": in["public"] == true,
			"created": canon.FormatTime(epoch), "revoked": false, "secrets": []any{}, "certificates": []any{},
		}
		o.apps = append(o.apps, app)
		w.WriteHeader(http.StatusCreated)
		made := maps.Clone(app)
		made["clientSecret"] = nil
		if secret, ok := in["secret"].(thing); ok {
			app["secrets"] = []any{credential(secretID, secret, epoch.AddDate(1, 0, 0))}
			made["secrets"], made["clientSecret"] = app["secrets"], "cl1ent-s3cret"
		}
		return made
	})
	handle("GET /api/admin/v1/apps/{app}", func(_ http.ResponseWriter, r *http.Request, _ thing) any { return o.app(r) })
	handle("PATCH /api/admin/v1/apps/{app}", func(_ http.ResponseWriter, r *http.Request, in thing) any {
		app := o.app(r)
		maps.Copy(app, in)
		return app
	})
	handle("POST /api/admin/v1/apps/{app}/revoke", func(_ http.ResponseWriter, r *http.Request, _ thing) any {
		app := o.app(r)
		app["revoked"] = true
		return app
	})
	handle("POST /api/admin/v1/apps/{app}/secrets", func(w http.ResponseWriter, r *http.Request, in thing) any {
		app := o.app(r)
		made := credential(secretID[:35]+"9", in, epoch.AddDate(1, 0, 0))
		app["secrets"] = append(list(app["secrets"]), made)
		w.WriteHeader(http.StatusCreated)
		made = maps.Clone(made)
		made["clientSecret"] = "another-s3cret"
		return made
	})
	handle("POST /api/admin/v1/apps/{app}/certificates", func(w http.ResponseWriter, r *http.Request, in thing) any {
		app := o.app(r)
		der, err := base64.StdEncoding.DecodeString(in["certificate"].(string))
		must(err)
		cert, err := x509.ParseCertificate(der)
		must(err)
		sum := sha256.Sum256(der)
		made := credential(hex.EncodeToString(sum[:]), in, cert.NotAfter)
		app["certificates"] = append(list(app["certificates"]), made)
		w.WriteHeader(http.StatusCreated)
		return made
	})
	for what, among := range map[string]string{"Secret": "secrets", "Certificate": "certificates"} {
		handle("DELETE /api/admin/v1/apps/{app}/"+among+"/{id}", func(w http.ResponseWriter, r *http.Request, _ thing) any {
			app := o.app(r)
			have := list(app[among])
			left := slices.DeleteFunc(slices.Clone(have), func(k any) bool { return k.(thing)["id"] == r.PathValue("id") })
			if len(left) == len(have) {
				refuse(w, 404, "ResourceNotFound", what+" "+r.PathValue("id")+" of application "+appID+" was not found")
				return nil
			}
			app[among] = left
			return app
		})
	}
}
