package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"swab/internal/wire"
)

// operation answers a request or says why not.
type operation func(http.ResponseWriter, *http.Request) error

// routes are the operations by path and method. There is no mux here: it would
// answer odd paths by redirects, and other requests in plain text, of its own.
type routes map[string]map[string]operation

const (
	pathUploads = "/device/uploads"
	pathUpload  = pathUploads + "/{id}"
)

func (g *Gateway) newRoutes() routes {
	return routes{
		"/enroll":         {http.MethodPost: g.enrol},
		"/device/token":   {http.MethodPost: g.token},
		"/device/key":     {http.MethodPost: g.succeed},
		"/device/channel": {http.MethodGet: g.channel},
		pathUploads:       {http.MethodOptions: g.uploadOptions, http.MethodPost: g.uploadCreate},
		pathUpload:        {http.MethodHead: g.uploadHead, http.MethodPatch: g.uploadPatch},
	}
}

// Handler serves the gateway's routes. Each answer is a device's, in the words
// of RFC 6749 where it is an error.
func (g *Gateway) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.head(w.Header())
		if err := g.serve(w, r); err != nil {
			g.refuse(w, r, err)
		}
	})
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) error {
	// As it was sent: in a decoded path, a slash may be of an id.
	path := r.URL.EscapedPath()
	if id, ok := strings.CutPrefix(path, pathUploads+"/"); ok && uploadID.MatchString(id) {
		path = pathUpload
		r.SetPathValue("id", id)
	}
	methods, ok := g.routes[path]
	if !ok {
		return &refusal{status: http.StatusNotFound, code: wire.CodeInvalidRequest, text: "There is nothing for devices at this address"}
	}
	do, ok := methods[r.Method]
	if !ok {
		w.Header().Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
		return &refusal{status: http.StatusMethodNotAllowed, code: wire.CodeInvalidRequest, text: "This address does not take the request's method; see Allow"}
	}
	return do(w, r)
}
