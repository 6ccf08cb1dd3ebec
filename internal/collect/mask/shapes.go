package mask

import "strings"

// shapes are values that show what they are: by how they begin, and how long they
// are at least.
var shapes = []struct {
	prefix   string
	min      int
	anywhere bool
}{
	{"-----BEGIN ", 30, true},
	{jwt, minJWT, false},
	{"AKIA", 20, false}, {"ASIA", 20, false},
	{"ghp_", 30, false}, {"gho_", 30, false}, {"ghs_", 30, false}, {"github_pat_", 30, false},
	{"glpat-", 20, false}, {"xoxb-", 20, false}, {"xoxp-", 20, false}, {"sk-", 30, false}, {"hvs.", 20, false},
	{"dckr_pat_", 20, false}, {"npm_", 30, false}, {"pypi-", 30, false}, {"AGE-SECRET-KEY-", 30, false},
}

// A JSON web token begins with `{"` in base64.
const (
	jwt    = "eyJ"
	minJWT = 40
)

// run is a stretch of the characters that tokens are made of.
type run struct {
	end int
	dot int // the last one in it; -1: none
}

// token is where a token stands that begins at, in the middle of a text: after
// something that is no part of one, or, if it is a JSON web token with its dots,
// after anything.
func (s *sweeper) token(at int) (from, to int) {
	begins := at == 0 || !inToken(s.text[at-1])
	if !begins && s.text[at] != 'e' {
		return 0, 0
	}
	for _, shape := range shapes {
		if shape.prefix[0] != s.text[at] || shape.prefix != jwt && !begins || !strings.HasPrefix(s.text[at:], shape.prefix) {
			continue
		}
		end, dot := s.runOf(at)
		switch {
		case end-at < shape.min, !begins && dot < at:
		case shape.prefix != jwt && !random(s.text[at:end]): // `sk-` begins words too
		default:
			return at, end
		}
	}
	return 0, 0
}

// runOf is the end of the run that at lies in, and its last dot.
func (s *sweeper) runOf(at int) (end, dot int) {
	if at >= s.run.end {
		s.run = run{at, -1}
		for s.run.end < len(s.text) && inToken(s.text[s.run.end]) {
			if s.text[s.run.end] == '.' {
				s.run.dot = s.run.end
			}
			s.run.end++
		}
	}
	return s.run.end, s.run.dot
}

// inToken reports whether tokens may hold a character: those of base64 in both of
// its alphabets, and the dot.
func inToken(c byte) bool { return inName(c) || c == '+' || c == '/' || c == '=' }
