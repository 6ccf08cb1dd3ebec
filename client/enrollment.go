package client

import (
	"context"
	"net/http"
	"time"
)

// Enrollment is a token by which devices join, as administrators see it: what it
// may still do. The token itself is in no answer but that of CreateEnrollment.
type Enrollment struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`             // what it is for
	Created   time.Time `json:"created,omitzero"` // zero: not known
	Remaining *int      `json:"remaining"`        // enrolments that it still admits; nil: no count
	Expires   time.Time `json:"expires,omitzero"` // zero: never
	Revoked   bool      `json:"revoked"`
	Tags      []string  `json:"tags"` // of the devices that join by it
}

// Enrollments lists the tenant's enrolment tokens, also those that admit nobody
// any more. It takes the permission Swab.Administer.
func (c *Client) Enrollments(ctx context.Context) ([]Enrollment, error) {
	var out list[Enrollment]
	err := c.call(ctx, http.MethodGet, "api/admin/v1/enrollments", nil, nil, &out, maxList)
	return out.Value, err
}

// EnrollmentRequest asks for an enrolment token, which the server makes.
type EnrollmentRequest struct {
	Name    string    `json:"name,omitempty"`
	Count   int       `json:"count,omitempty"`  // enrolments; 0: no count
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Tags    []string  `json:"tags,omitempty"`   // of the devices that join by it
}

// NewEnrollment is an enrolment token that was made.
type NewEnrollment struct {
	Enrollment
	Token string `json:"token"`
}

// CreateEnrollment makes a token by which devices join the tenant. It takes the
// permission Swab.Administer.
func (c *Client) CreateEnrollment(ctx context.Context, r EnrollmentRequest) (NewEnrollment, error) {
	var out NewEnrollment
	err := c.call(ctx, http.MethodPost, "api/admin/v1/enrollments", nil, r, &out, maxEntity)
	return out, err
}

// RevokeEnrollment makes an enrolment token worthless for good; devices that
// joined by it stay. A second time changes nothing and is no error. It takes the
// permission Swab.Administer.
func (c *Client) RevokeEnrollment(ctx context.Context, id string) (Enrollment, error) {
	var out Enrollment
	segment, err := segment("enrolment token", id)
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodPost, "api/admin/v1/enrollments/"+segment+"/revoke", nil, nil, &out, maxEntity)
	return out, err
}
