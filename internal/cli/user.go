package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"golang.org/x/term"

	"swab/client"
	"swab/internal/command"
)

type userCreate struct {
	Principal     string   `arg:"" help:"The user principal name, by which the user signs in: ann@contoso.example."`
	Name          string   `help:"What the user is called." placeholder:"TEXT"`
	Group         []string `help:"A user group to put the user into, by name or id; once for each." sep:"none" placeholder:"GROUP"`
	Administrator bool     `help:"Into a user group of the built-in role, which may do everything; the group is made if there is none."`
	password
	connection
	output
}

// password is how a command is given one.
type password struct {
	PasswordStdin bool `name:"password-stdin" help:"Read the password from standard input, one line. Default: one is made, and shown here alone. The user sets another at the next sign-in."`
}

// secret returns the password; "" where one shall be made.
func (p password) secret(env command.Env) (string, error) {
	if !p.PasswordStdin {
		return "", nil
	}
	line, err := readSecret(env, "Password: ")
	if err == nil && line == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("--password-stdin: %w", err)
	}
	return line, nil
}

// maxLine bounds a line that is typed: 4 KiB.
const maxLine = 4 << 10

// readLine reads one line without its end.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if len(line) > maxLine {
		return "", fmt.Errorf("the line has over %d bytes", maxLine)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// readSecret is readLine, which on a terminal asks and does not show what is
// typed.
func readSecret(env command.Env, ask string) (string, error) {
	f, ok := terminal(env.Stdin)
	if !ok {
		return readLine(env.Stdin)
	}
	fmt.Fprint(env.Stderr, ask)
	line, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(env.Stderr)
	return string(line), err
}

// terminal says whether a person types what is read.
func terminal(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

func (*userCreate) Help() string {
	return "Makes a user, who signs in by swab login and in clients that people sign in to. Without a user group that a role names, a user may do nothing. " +
		"The first administrator is made on the server's machine, with --administrator and the credentials of bootstrap.json." + administers
}

func (u *userCreate) Run(ctx context.Context, env command.Env) error {
	given, err := u.secret(env)
	if err != nil {
		return err
	}
	c, _, err := u.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	groups, err := userGroupIDs(ctx, c, u.Group)
	if err != nil {
		return err
	}
	made, err := c.CreateUser(ctx, client.UserRequest{Principal: u.Principal, Name: u.Name, Groups: groups, Administrator: u.Administrator, Password: given})
	if err != nil {
		return err
	}
	return u.showMade(ctx, env, c, made)
}

// showMade prints a user with the password that was made, which is shown whatever
// else can't be had.
func (o output) showMade(ctx context.Context, env command.Env, c *client.Client, made client.NewUser) error {
	if o.JSON {
		return o.print(env.Stdout, made, nil)
	}
	names, err := userGroupNames(ctx, c)
	return errors.Join(fields(env.Stdout, append(userFields(made.User, names), "initial password", made.InitialPassword)...), err)
}

func userFields(u client.User, names called) []string {
	return []string{
		"id", u.ID,
		"principal", u.Principal,
		"name", u.Name,
		"groups", names.joined(u.Groups),
		"administrator", yesNo(u.Administrator),
		"disabled", yesNo(u.Disabled),
		"created", when(u.Created),
	}
}

// ofUser asks something of one user, and shows the user as they are then.
func (c *connection) ofUser(ctx context.Context, env command.Env, o output, name string, ask func(*client.Client) (client.User, error)) error {
	cl, _, err := c.open(env)
	if err != nil {
		return err
	}
	defer cl.Close()
	u, err := ask(cl)
	if err != nil {
		return noSuch("user", name, err)
	}
	if o.JSON {
		return o.print(env.Stdout, u, nil)
	}
	names, err := userGroupNames(ctx, cl)
	if err != nil {
		return err
	}
	return fields(env.Stdout, userFields(u, names)...)
}

type userList struct {
	Group string `help:"Those in this user group, by its name or id." placeholder:"GROUP"`
	Top   int    `help:"Most users to list." default:"100"`
	connection
	output
}

func (*userList) Help() string {
	return "Lists users in the order of their principals, also those that are disabled." + administers
}

func (l *userList) Run(ctx context.Context, env command.Env) error {
	c, _, err := l.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	list := c.Users(ctx)
	if l.Group != "" {
		g, err := userGroupNamed(ctx, c, l.Group)
		if err != nil {
			return err
		}
		list = c.Members(ctx, g.ID)
	}
	users, more, err := first(list, l.Top)
	if err != nil {
		return err
	}
	if l.JSON {
		return l.print(env.Stdout, users, nil)
	}
	names, err := userGroupNames(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(userTable(env.Stdout, users, names), tellMore(env.Stderr, more, l.Top))
}

// first are at most so many rows of a list, and whether there are more.
func first[T any](list iter.Seq2[T, error], top int) ([]T, bool, error) {
	rows := []T{}
	for row, err := range list {
		if err != nil {
			return nil, false, err
		}
		if len(rows) >= top {
			return rows, true, nil
		}
		rows = append(rows, row)
	}
	return rows, false, nil
}

func tellMore(w io.Writer, more bool, top int) error {
	if !more {
		return nil
	}
	_, err := fmt.Fprintf(w, "There are more than these %d: --top N shows N of them\n", top)
	return err
}

func userTable(w io.Writer, users []client.User, names called) error {
	rows := make([][]string, len(users))
	for i, u := range users {
		rows[i] = []string{u.Principal, u.Name, yesNo(u.Administrator), yesNo(u.Disabled), names.joined(u.Groups)}
	}
	return table(w, "PRINCIPAL NAME ADMINISTRATOR DISABLED GROUPS", rows)
}

// oneUser is the user of a command.
type oneUser struct {
	User string `arg:"" help:"The user principal name, or the user's id."`
	connection
	output
}

type userShow struct{ oneUser }

func (*userShow) Help() string {
	return "Shows a user, and which user groups they are in." + administers
}

func (u *userShow) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) { return c.User(ctx, u.User) })
}

type userChange struct {
	oneUser
	Principal *string `help:"Another user principal name." placeholder:"PRINCIPAL"`
	Name      *string `help:"What the user is called." placeholder:"TEXT"`
}

func (*userChange) Help() string {
	return "Changes what a user is called. User groups are changed by swab group add and remove." + administers
}

// Check judges the settings together.
func (u *userChange) Check() error {
	if u.Principal == nil && u.Name == nil {
		return errors.New("give --principal or --name: what shall change?")
	}
	return nil
}

func (u *userChange) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) {
		return c.ChangeUser(ctx, u.User, client.UserChange{Principal: u.Principal, Name: u.Name})
	})
}

type userDisable struct{ oneUser }

func (*userDisable) Help() string {
	return "Shuts a user out and ends their sign-ins: they get no token, and those that are out are worth nothing. The last administrator can't be disabled. " +
		"A user is never deleted, since the audit log speaks of them." + administers
}

func (u *userDisable) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) { return c.DisableUser(ctx, u.User) })
}

type userEnable struct{ oneUser }

func (*userEnable) Help() string {
	return "Lets a user who is disabled sign in again, by the password that they had." + administers
}

func (u *userEnable) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) { return c.EnableUser(ctx, u.User) })
}

type userResetPassword struct {
	oneUser
	password
}

func (*userResetPassword) Help() string {
	return "Gives a user another password, and ends their sign-ins." + administers
}

func (u *userResetPassword) Run(ctx context.Context, env command.Env) error {
	given, err := u.secret(env)
	if err != nil {
		return err
	}
	c, _, err := u.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.ResetPassword(ctx, u.User, given)
	if err != nil {
		return noSuch("user", u.User, err)
	}
	return u.showMade(ctx, env, c, made)
}

type userResetTOTP struct{ oneUser }

func (*userResetTOTP) Help() string {
	return "Takes a user's one-time codes and recovery codes away: for one who has lost the device that makes them. Make sure that it is they who ask." + administers
}

func (u *userResetTOTP) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) { return c.ResetTOTP(ctx, u.User) })
}

type userSessions struct{ oneUser }

func (*userSessions) Help() string {
	return "Lists a user's sign-ins that have not ended, the newest first: those of browsers, and those of applications." + administers
}

func (u *userSessions) Run(ctx context.Context, env command.Env) error {
	c, _, err := u.open(env)
	if err != nil {
		return err
	}
	defer c.Close()
	sessions, err := c.Sessions(ctx, u.User)
	if err != nil {
		return noSuch("user", u.User, err)
	}
	return u.print(env.Stdout, sessions, func(w io.Writer) error {
		rows := make([][]string, len(sessions))
		for i, s := range sessions {
			app := s.App
			if app == "" {
				app = "browser"
			}
			rows[i] = []string{app, strings.Join(s.Methods, "+"), when(s.Proved), when(s.Used), when(s.Expires), s.Address, s.Agent}
		}
		return table(w, "APPLICATION BY PROVED USED EXPIRES ADDRESS AGENT", rows)
	})
}

type userSignOut struct{ oneUser }

func (*userSignOut) Help() string {
	return "Ends all sign-ins of a user: they have to sign in again everywhere, and tokens that are out are worth nothing." + administers
}

func (u *userSignOut) Run(ctx context.Context, env command.Env) error {
	return u.ofUser(ctx, env, u.output, u.User, func(c *client.Client) (client.User, error) { return c.RevokeSessions(ctx, u.User) })
}
