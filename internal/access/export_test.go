package access

import (
	"time"

	"swab/internal/auth"
)

// Certificate is what would be kept of n.
func (n NewCertificate) Certificate(now time.Time) (auth.Certificate, error) {
	return n.certificate(now)
}
