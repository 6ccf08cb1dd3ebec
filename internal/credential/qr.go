package credential

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// maxURI bounds what is drawn: beyond, a telephone's camera no longer reads it
// from a screen with ease. Names of 100 letters each fit.
const maxURI = 512

// quiet is how many modules around a code are left white (ISO/IEC 18004).
const quiet = 4

// QR is the URI as an SVG element to stand in a page: black on white whatever
// the page's colours, without style or script, so that a strict CSP allows it. It
// tells the secret to whoever sees it. It fails where the names are so long that
// the URI has more than 512 bytes.
func (t TOTP) QR(issuer, account string) ([]byte, error) {
	uri := t.URI(issuer, account).Reveal()
	if len(uri) > maxURI {
		return nil, fmt.Errorf("credential: a QR code holds %d bytes, and the names make it %d: show the secret's text alone", maxURI, len(uri))
	}
	code, err := qr.Encode(uri, qr.M, qr.Unicode)
	if err != nil {
		return nil, fmt.Errorf("credential: draw a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	black := func(x, y int) bool {
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="QR code for the authenticator app" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="`, size+2*quiet)
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for x < size && black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&svg, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	svg.WriteString(`"/></svg>`)
	return []byte(svg.String()), nil
}
