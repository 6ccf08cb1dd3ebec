package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"swab/internal/fault"
)

func TestCodeAndCauseAreBothFound(t *testing.T) {
	err := fmt.Errorf("read action 7: %w", fault.NotFound.Errorf(io.ErrUnexpectedEOF, "Machine action %s was not found", "7"))
	if !errors.Is(err, fault.NotFound) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("errors.Is(%v) misses the code or the cause", err)
	}
	if errors.Is(err, fault.Forbidden) {
		t.Errorf("errors.Is(%v, Forbidden) = true, want false", err)
	}
}

func TestTheCallerNeverSeesTheCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code fault.Code
		text string
	}{
		{fault.InvalidInput.Errorf(errors.New("secret"), "Profile %q is not known", "x"), fault.InvalidInput, `Profile "x" is not known`},
		{errors.New("secret"), fault.Internal, "An internal error happened; the request's id finds it in the server's log"},
	} {
		if code, text := fault.Of(tt.err); code != tt.code || text != tt.text {
			t.Errorf("Of(%v) = %s, %q, want %s, %q", tt.err, code, text, tt.code, tt.text)
		}
	}
}

func TestCodesAreListedOnce(t *testing.T) {
	seen := map[fault.Code]bool{}
	for _, c := range fault.Codes {
		if seen[c] {
			t.Errorf("%s is listed twice", c)
		}
		seen[c] = true
	}
}
