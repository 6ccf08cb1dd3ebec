package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"swab/client"
	"swab/internal/command"
)

// signInFile is where swab login keeps a person's sign-in.
type signInFile struct {
	SignIn string `name:"sign-in" help:"File that keeps a sign-in. Default: swab/sign-in.json in the user's folder of settings." env:"SWAB_SIGN_IN" placeholder:"FILE"`
}

// signedIn is what the file holds.
type signedIn struct {
	APIBase   string       `json:"apiBase"`
	Authority string       `json:"authority"`
	ClientID  string       `json:"clientId"`
	CAFile    string       `json:"caFile"`
	Grant     client.Grant `json:"grant"`
}

// config is that of a client for the sign-in, without what gives it tokens.
func (k signedIn) config(env command.Env) client.Config {
	return client.Config{BaseURL: k.APIBase, Authority: k.Authority, ClientID: k.ClientID, CAFile: k.CAFile, UserAgent: "swab/" + release(), Now: env.Now}
}

func (k signedIn) signIn(env command.Env) (*client.SignIn, error) {
	return client.NewSignIn(k.config(env))
}

// end ends the sign-in at the server. Of none there is nothing to end.
func (k signedIn) end(ctx context.Context, env command.Env) error {
	if k.Grant.RefreshToken == "" {
		return nil
	}
	s, err := k.signIn(env)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.End(ctx, k.Grant)
}

// keptFile is the file. It holds tokens: its mode is 0600, and it is written
// whole or not at all.
type keptFile struct{ name string }

// path finds the file.
func (s signInFile) path(env command.Env) (keptFile, error) {
	if s.SignIn != "" {
		return keptFile{s.SignIn}, nil
	}
	dir := env.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return keptFile{}, fmt.Errorf("where shall a sign-in be kept? %w; name a file by --sign-in", err)
		}
	}
	return keptFile{filepath.Join(dir, "swab", "sign-in.json")}, nil
}

// errNotSignedIn says that there is no such file.
var errNotSignedIn = errors.New("nobody is signed in: use swab login")

const maxSignIn = 256 << 10 // bytes of the file

func (f keptFile) read() (signedIn, error) {
	var kept signedIn
	file, err := os.Open(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, errNotSignedIn
	}
	if err != nil {
		return kept, fmt.Errorf("the sign-in that is kept: %w", err)
	}
	defer file.Close()
	if err := private(file); err != nil {
		return kept, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSignIn+1))
	if err != nil {
		return kept, fmt.Errorf("the sign-in that is kept: %w", err)
	}
	if len(data) > maxSignIn || json.Unmarshal(data, &kept) != nil { // the error may quote a token
		return kept, fmt.Errorf("%s is not a sign-in that swab login kept: sign in again", f.name)
	}
	return kept, nil
}

func (f keptFile) write(kept signedIn) error {
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.name)
	part, err := os.CreateTemp(dir, ".sign-in-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("keep the sign-in: %w", err)
	}
	_, err = part.Write(append(data, '\n'))
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), f.name)
	}
	if err != nil {
		return fmt.Errorf("keep the sign-in: %w", errors.Join(err, os.Remove(part.Name())))
	}
	return nil
}

func (f keptFile) remove() error {
	if err := os.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete the sign-in that is kept: %w", err)
	}
	return nil
}

// locked runs do while no other process reads or writes the file. A refresh token
// is good once: two commands that used the same one would end the sign-in.
func (f keptFile) locked(ctx context.Context, do func() error) error {
	if err := os.MkdirAll(filepath.Dir(f.name), 0o700); err != nil {
		return fmt.Errorf("keep the sign-in: %w", err)
	}
	unlock, err := lockFile(ctx, f.name+".lock")
	if err != nil {
		return fmt.Errorf("keep the sign-in: %w", err)
	}
	defer unlock()
	return do()
}

// keptTokens gives the access tokens of the sign-in that a file keeps, and keeps
// what follows them.
type keptTokens struct {
	file keptFile
	env  command.Env
}

// Token returns a token that is good for a while yet.
func (k *keptTokens) Token(ctx context.Context, refused string) (string, error) {
	var token string
	err := k.file.locked(ctx, func() error {
		kept, err := k.file.read() // another command may have got the next one
		if err != nil {
			return err
		}
		if token = kept.Grant.AccessToken; token != refused && k.env.Now().Before(kept.Grant.Expires) {
			return nil
		}
		s, err := kept.signIn(k.env)
		if err != nil {
			return err
		}
		defer s.Close()
		if kept.Grant, err = s.Refresh(ctx, kept.Grant); err != nil {
			return fmt.Errorf("get a token at %s: %w; sign in again by swab login", kept.Authority, err)
		}
		token = kept.Grant.AccessToken
		return k.file.write(kept)
	})
	return token, err
}
