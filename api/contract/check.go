package contract

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Answer is what came back of a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Check says what of an answer the document does not foresee; nil where it
// foresees all.
func (c *Contract) Check(method string, u *url.URL, a Answer) error {
	response, at, err := c.response(method, u, a.Status)
	if err == nil {
		err = errors.Join(c.headers(response, at, a.Header), c.body(response, at, method, a))
	}
	if err != nil {
		return fmt.Errorf("%s %s is answered %d, and the document does not foresee it: %w", method, u.Path, a.Status, err)
	}
	return nil
}

// response is what the document says of a status, and where.
func (c *Contract) response(method string, u *url.URL, status int) (object, string, error) {
	code := strconv.Itoa(status)
	o, others := c.Find(method, u)
	if o != nil {
		if node, ok := of(o.node["responses"])[code]; ok {
			found, at := c.follow(node, o.at+"/responses/"+code)
			return found, at, nil
		}
		return nil, "", fmt.Errorf("%s has no such status", o.ID)
	}
	if others != (status == http.StatusMethodNotAllowed) {
		return nil, "", fmt.Errorf("it is of no operation, though its path has others: %t", others)
	}
	prefix := c.prefix(plain(u))
	node, ok := of(of(c.root["x-elsewhere"])[prefix])[code]
	if !ok {
		return nil, "", fmt.Errorf("x-elsewhere has no such status for %s", prefix)
	}
	found, at := c.follow(node, "/x-elsewhere/"+pointer(prefix)+"/"+code)
	return found, at, nil
}

// Codes are those that a failure of a request may have.
func (c *Contract) Codes(method string, u *url.URL, status int) ([]string, error) {
	node, _, err := c.response(method, u, status)
	for _, key := range []string{"content", "application/json", "schema", "properties", "error", "properties", "code"} {
		node = of(node[key])
	}
	var codes []string
	for _, code := range list(node["enum"]) {
		codes = append(codes, word(code))
	}
	return codes, err
}

// transport are headers that are HTTP's own business.
var transport = map[string]bool{"Content-Type": true, "Content-Length": true, "Date": true, "Connection": true, "Transfer-Encoding": true}

func (c *Contract) headers(response object, at string, given http.Header) error {
	var errs []error
	said := map[string]bool{}
	for _, set := range []struct {
		headers object
		at      string
	}{
		{of(response["headers"]), at + "/headers/"}, {of(c.root["x-standing-headers"]), "/x-standing-headers/"},
	} {
		for name, node := range set.headers {
			key := http.CanonicalHeaderKey(name)
			if said[key] {
				continue // the answer's own word comes first
			}
			said[key] = true
			header, at := c.follow(node, set.at+pointer(name))
			values := given.Values(name)
			if required, _ := header["required"].(bool); required && len(values) == 0 {
				errs = append(errs, fmt.Errorf("the header %s is missing", name))
			}
			for _, v := range values {
				if err := c.text(at+"/schema", v); err != nil {
					errs = append(errs, fmt.Errorf("the header %s: %w", name, err))
				}
			}
		}
	}
	for name, values := range given {
		if !said[name] && !transport[name] {
			errs = append(errs, fmt.Errorf("there is no header %s: %q", name, values))
		}
	}
	return errors.Join(errs...)
}

func (c *Contract) body(response object, at, method string, a Answer) error {
	content := of(response["content"])
	if len(content) == 0 {
		if len(a.Body) > 0 {
			return fmt.Errorf("there is no body, and it has %d bytes", len(a.Body))
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("the Content-Type %q: %w", a.Header.Get("Content-Type"), err)
	}
	node, ok := content[media]
	if !ok {
		return fmt.Errorf("there is no body of %s", media)
	}
	if method == http.MethodHead || of(node)["schema"] == nil {
		return nil
	}
	at += "/content/" + pointer(media) + "/schema"
	if media == "text/plain" {
		return c.text(at, string(a.Body))
	}
	return c.json(at, a.Body)
}

// json holds JSON against the schema at an address.
func (c *Contract) json(at string, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w: %.200s", err, data)
	}
	s, err := c.schema(at)
	if err != nil {
		return err
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("%w\n%.1000s", err, data)
	}
	return nil
}

// text holds a text against the schema at an address, which may want a number.
func (c *Contract) text(at, text string) error {
	s, err := c.schema(at)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	if err != nil || s.Types == nil || s.Types.IsEmpty() || s.Types.ToStrings()[0] != "integer" {
		value = text
	}
	return s.Validate(value)
}

// CheckRequest says what of a request's body the document does not foresee.
func (c *Contract) CheckRequest(o *Operation, media string, body []byte) error {
	if of(of(o.node["requestBody"])["content"])[media] == nil {
		return fmt.Errorf("%s takes no body of %s", o.ID, media)
	}
	return c.json(o.at+"/requestBody/content/"+pointer(media)+"/schema", body)
}
