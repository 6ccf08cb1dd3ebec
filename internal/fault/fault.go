// Package fault names the ways a request can fail that its caller can act on.
//
// An error without a [Code] is our own fault: the caller learns only that it
// happened, and the log learns the rest. The codes are those of the API that
// Swab is compatible with; what HTTP status each one has is decided in one
// table in package api, and nowhere else.
package fault

import (
	"errors"
	"fmt"
)

// Code is one of the contract's error codes.
type Code string

// The codes, each with what its caller can do about it.
const (
	BadRequest           Code = "BadRequest"                 // not possible in the state the thing is in
	OData                Code = "ODataError"                 // the query options are wrong
	InvalidInput         Code = "InvalidInput"               // can never succeed as sent
	InvalidIPAddress     Code = "InvalidIpAddress"           // what should be an address is none
	InvalidRequestBody   Code = "InvalidRequestBody"         // the body is not what the operation takes
	MissingParameter     Code = "MissingRequiredParameter"   // a required parameter is missing or blank
	BatchTooLarge        Code = "MaximumBatchSizeExceeded"   // send fewer at once
	OsNotSupported       Code = "OsPlatformNotSupported"     // the device's system can't do it
	ClientNotSupported   Code = "ClientVersionNotSupported"  // the device's agent is too old
	Active               Code = "ActiveRequestAlreadyExists" // wait for the one that runs
	Unauthorized         Code = "Unauthorized"               // get a token and ask again
	Forbidden            Code = "Forbidden"                  // the caller is known, and may not
	DisallowedOperation  Code = "DisallowedOperation"        // nobody may, on this installation
	NotFound             Code = "ResourceNotFound"           // or outside what the caller may see: we do not say which
	NoRoute              Code = "NotFound"                   // no such route
	MethodNotAllowed     Code = "MethodNotAllowed"           // the route has other methods
	TooLarge             Code = "PayloadTooLarge"            // send less
	UnsupportedMediaType Code = "UnsupportedMediaType"       // send JSON
	BadRange             Code = "RangeNotSatisfiable"        // ask for bytes that the file has, in fewer ranges
	Precondition         Code = "PreconditionFailed"         // what the caller knows is no longer so
	TooMany              Code = "TooManyRequests"            // ask again after the time named
	Internal             Code = "InternalServerError"        // our fault
	Unavailable          Code = "ServiceUnavailable"         // nothing was done; ask again later
)

// Codes lists every code, so that a test can hold tables against it.
var Codes = []Code{
	BadRequest, OData, InvalidInput, InvalidIPAddress, InvalidRequestBody, MissingParameter, BatchTooLarge, OsNotSupported, ClientNotSupported,
	Active, Unauthorized, Forbidden, DisallowedOperation, NotFound, NoRoute, MethodNotAllowed, TooLarge,
	UnsupportedMediaType, BadRange, Precondition, TooMany, Internal, Unavailable,
}

// Error makes a Code a target for [errors.Is].
func (c Code) Error() string { return string(c) }

// Errorf returns an error with code c. The text goes to the caller, so it names
// only what the caller sent. The cause, which may be nil, goes to the log.
func (c Code) Errorf(cause error, format string, args ...any) error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// Error is a failure with a code. [errors.Is] finds both the code and the cause.
type Error struct {
	Code  Code
	Text  string // for the caller
	Cause error  // for the log; may be nil
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Text
	}
	return e.Text + ": " + e.Cause.Error()
}

// Unwrap offers the code and, where there is one, the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Cause}
}

// Of returns the code and the caller's text of the outermost fault in err.
// An error without one is Internal, with a text that tells nothing.
func Of(err error) (Code, string) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code, e.Text
	}
	return Internal, "An internal error happened; the request's id finds it in the server's log"
}
