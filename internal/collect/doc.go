// Package collect runs collectors and makes packages of what they find.
package collect
