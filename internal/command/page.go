package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Page is the reference of a program's commands in Markdown, made from the
// structs that their settings are read into.
func Page(name string, commands []Command) (string, error) {
	p, err := newParser(io.Discard, name, commands)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The commands of %s\n\n", name)
	b.WriteString("A flag wins over its variable, the variable over the file that `--config` names (where a command has it: YAML, the keys are the flags' names), the file over the default. ")
	b.WriteString("A secret is no flag: others can read a command line.\n\n")
	b.WriteString("Exit codes: 0 success, 1 failure, 2 a command line or settings that can't be run; a command that has others says so.\n")
	for _, node := range p.kong.Model.Leaves(false) {
		p.section(&b, name, node)
	}
	return b.String(), nil
}

func (p *parser) section(b *strings.Builder, name string, node *kong.Node) {
	fmt.Fprintf(b, "\n## %s %s\n\n%s.\n", name, node.Path(), strings.TrimSuffix(node.Help, "."))
	if node.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", node.Detail)
	}
	fmt.Fprintf(b, "\n```\n%s %s\n```\n", name, node.Summary())
	if len(node.Positional) > 0 {
		b.WriteString("\n| argument | |\n|---|---|\n")
		for _, arg := range node.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", arg.Summary(), escapeCell(arg.Help))
		}
	}
	if len(node.Flags) == 0 {
		return
	}
	b.WriteString("\n| flag | variable | |\n|---|---|---|\n")
	for _, flag := range node.Flags {
		form := "`" + flag.String() + "`"
		if flag.Hidden {
			form = "in the file: `" + flag.Name + "`"
			if !hasFile(node) {
				form = "by variable alone"
			}
		}
		variable := ""
		if envs := p.envs[flag.Value]; len(envs) > 0 {
			variable = "`" + strings.Join(envs, "`, `") + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", form, variable, escapeCell(about(flag)))
	}
}

// about is a flag's help with what its value may be.
func about(flag *kong.Flag) string {
	text := flag.Help
	if flag.Enum != "" {
		text += " One of " + strings.ReplaceAll(flag.Enum, ",", ", ") + "."
	}
	if flag.HasDefault && flag.Default != "" {
		text += " Default: `" + flag.Default + "`."
	}
	if flag.Required {
		text += " Required."
	}
	return text
}

func hasFile(node *kong.Node) bool {
	for _, flag := range node.Flags {
		if _, ok := flag.Target.Interface().(ConfigFile); ok {
			return true
		}
	}
	return false
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
