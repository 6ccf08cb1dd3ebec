package command

import (
	"fmt"
	"log/slog"
	"reflect"

	"github.com/alecthomas/kong"
)

// Secret is a setting that must not be seen: it prints, logs and encodes as ***.
// It comes from a variable or the file. A flag takes it only where the field's
// tag has argv:"allowed": for one that serves once and only for a while, or a
// setting that need not have a secret in it.
type Secret string

const (
	argvTag = "argv"
	hidden  = "***"
)

// Reveal returns the secret itself, for the one who uses it.
func (s Secret) Reveal() string { return string(s) }

// Format prints ***, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		fmt.Fprint(f, hidden)
	}
}

// String is *** or, where there is no secret, nothing.
func (s Secret) String() string { return fmt.Sprint(s) }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the secret out of JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func isSecret(v *kong.Value) bool { return v.Target.Type() == reflect.TypeFor[Secret]() }
