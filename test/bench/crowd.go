package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
)

// socketsEach is how many sockets each process of the crowd holds.
const socketsEach = 10

// gather starts a crowd: n processes that sleep, each with sockets of its own.
// A helper process holds it, so that the limit of open files is not ours, and
// when the helper ends the crowd does.
func gather(ctx context.Context, n int) (end func(), err error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "hold", strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() { in.Close(); cmd.Wait() }
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "gathered\n" {
		end()
		return nil, fmt.Errorf("gather %d processes: %q, %w", n, line, err)
	}
	return end, nil
}

// hold is the helper process.
func hold(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n, _ := strconv.Atoi(os.Args[2])
	var crowd []*exec.Cmd
	for range n {
		cmd := exec.CommandContext(ctx, "sleep", "3600")
		for range socketsEach {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				fmt.Fprintln(os.Stderr, "hold:", err)
				return
			}
			f, err := c.(*net.UDPConn).File()
			c.Close()
			if err != nil {
				fmt.Fprintln(os.Stderr, "hold:", err)
				return
			}
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		err := cmd.Start()
		for _, f := range cmd.ExtraFiles {
			f.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "hold:", err)
			break
		}
		crowd = append(crowd, cmd)
	}
	if len(crowd) == n {
		os.Stdout.WriteString("gathered\n")
		os.Stdin.Read(make([]byte, 1)) // until our parent is done, or gone
	}
	stop()
	for _, cmd := range crowd {
		cmd.Wait()
	}
}
