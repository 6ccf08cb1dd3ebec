package row

// A zero says something: user 0 is root, parent 0 is the kernel. So what may not
// be known where 0 is an answer is a text ("" is not known), a Number or an Answer,
// and never a plain number or bool.

// Number is a whole number that may not be known, as in the zero value. A table
// then has nothing in its place.
type Number struct {
	N     int64
	Known bool
}

// Num is a number that is known.
func Num[N ~int | ~int32 | ~int64 | ~uint32 | ~uint64](n N) Number { return Number{int64(n), true} }

// Number is n, if it is known.
func (n Number) Number() (int64, bool) { return n.N, n.Known }

// Answer is yes or no, or "" where it is not known.
type Answer string

// The answers.
const (
	Yes Answer = "yes"
	No  Answer = "no"
)
