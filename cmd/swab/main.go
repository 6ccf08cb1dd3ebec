// Command swab is one binary for people, servers and devices: it asks for
// packages and judges them, is the server, is the agent, and shows the whole
// road on one machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"swab/internal/agent"
	"swab/internal/cli"
	"swab/internal/command"
	"swab/internal/quickstart"
	"swab/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], command.System(), more()...)
	stop()
	os.Exit(code)
}

// more is the commands beside those of package cli.
func more() []command.Command {
	return []command.Command{server.Command, server.BackupCommand, server.RestoreCommand, server.AuditCommand, agent.Command, quickstart.Command}
}
