package auth

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
	"time"
)

// BenchmarkIssue is a token of its own each time, beside the bare signature,
// which nothing can undercut, and tokens of which one second has many.
func BenchmarkIssue(b *testing.B) {
	f := newFixture(b)
	_, key := f.ring.TokenKey()
	sum := sha256.Sum256([]byte("bare"))
	b.Run("bare RSA signature", func(b *testing.B) {
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			f.now = f.now.Add(time.Second)
			f.issue(b)
		}
	})
	b.Run("shared", func(b *testing.B) {
		for b.Loop() {
			f.issue(b)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	f := newFixture(b)
	token := f.issue(b)
	for name, forget := range map[string]bool{"cold": true, "cached": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					f.tokens.known = newCache(1)
				}
				if _, err := f.tokens.Validate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
