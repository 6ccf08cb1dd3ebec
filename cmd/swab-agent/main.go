// Command swab-agent is the agent of a device by itself: the commands of
// `swab agent` in a small program.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"swab/internal/agent"
	"swab/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Main(ctx, os.Args[1:], command.System(), "swab-agent", agent.Command.Verbs)
	stop()
	os.Exit(code)
}
