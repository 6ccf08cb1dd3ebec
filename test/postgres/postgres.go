// Package postgres gives tests a real PostgreSQL server: the one that
// SWAB_TEST_POSTGRES names (make test starts it for all packages), or else one
// that is started for the test program and ends with it, however that ends.
package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed cluster.sh
var script string

// Variable names the URL of a server that tests may fill with databases.
const Variable = "SWAB_TEST_POSTGRES"

// Cluster is a server of its own.
type Cluster struct {
	URL string // of its database "postgres", for its superuser
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Start starts a server in a temporary directory. It ends by Close, and else
// with this process. With fast it does not flush commits.
func Start(fast bool) (*Cluster, error) {
	args := []string{"-c", script, "cluster.sh"}
	if fast {
		args = append(args, "--fast")
	}
	c := &Cluster{cmd: exec.Command("bash", args...)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("no PostgreSQL server for the test: run `make test`, or set %s to the URL of one", Variable), c.cmd.Wait())
	}
	c.URL = strings.TrimSpace(line)
	return c, nil
}

// Do obeys "restart" (at once, as after a crash), "stop" (likewise) or "start",
// and returns when it is done.
func (c *Cluster) Do(what string) error {
	if _, err := fmt.Fprintln(c.in, what); err != nil {
		return err
	}
	line, err := c.out.ReadString('\n')
	if err != nil || line != what+"\n" {
		return fmt.Errorf("%s the PostgreSQL server: %q, %w", what, line, err)
	}
	return nil
}

// Close ends the server and deletes what it has.
func (c *Cluster) Close() error {
	_ = c.in.Close()
	return c.cmd.Wait()
}

// shared is the server for all tests of this process; its end is the process's.
// It is kept here, since a pipe that nobody keeps is closed.
var shared = sync.OnceValues(func() (*Cluster, error) {
	if u := os.Getenv(Variable); u != "" {
		return &Cluster{URL: u}, nil
	}
	return Start(true)
})

// Shared is the URL of the server for all tests of this process.
func Shared() (string, error) {
	c, err := shared()
	if err != nil {
		return "", err
	}
	return c.URL, nil
}

// Create makes a database on a server, as a copy of the one named template ("":
// an empty one), and returns its name and URL.
func Create(server, template string) (name, database string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", "", err
	}
	name = "swab_" + strings.ToLower(rand.Text()[:12])
	u.Path = "/" + name
	if template == "" {
		template = "template1"
	}
	// Files are copied faster than what is in them is logged.
	return name, u.String(), command(server, "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY FILE_COPY")
}

// Drop deletes a database.
func Drop(server, name string) error {
	return command(server, "DROP DATABASE "+name+" WITH (FORCE)")
}

// Name is the name of a database by its URL.
func Name(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// Replace puts one database in the place of another, which it deletes.
func Replace(server, name, with string) error {
	if err := Drop(server, name); err != nil {
		return err
	}
	return command(server, "ALTER DATABASE "+with+" RENAME TO "+name)
}

// command runs one statement on a connection of its own.
func command(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}
