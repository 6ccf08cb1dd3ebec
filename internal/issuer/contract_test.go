package issuer

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	described "swab/api"
	"swab/api/contract"
)

// Every answer of this package's tests is held against the document of the API
// (installation.ask). Here it is held against the endpoints.
func TestTheDocumentHasEveryEndpointAndNoOther(t *testing.T) {
	c, err := contract.Read(described.Document())
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, e := range endpoints {
		if e.reach == ofBrowser {
			continue // pages: a person's, and no program's
		}
		for _, m := range e.methods {
			if m == http.MethodHead || m == http.MethodGet && slices.Contains(e.methods, http.MethodPost) {
				continue // of the operation of the other method
			}
			left[m+" /{tenant}/"+e.path] = true
		}
	}
	for _, o := range c.Operations() {
		if !strings.HasPrefix(o.Path, "/{tenant}/") {
			continue
		}
		if name := o.Method + " " + o.Path; !left[name] {
			t.Errorf("%s: there is no endpoint %s", o.ID, name)
		} else {
			delete(left, name)
		}
	}
	for name := range left {
		t.Errorf("%s stands in no operation of api/openapi.yaml", name)
	}
}
