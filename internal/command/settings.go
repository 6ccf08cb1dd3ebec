package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// ConfigFile is the type of the flag that names the YAML file of a command's
// settings. A command has at most one.
type ConfigFile string

// MaxConfig bounds a file of settings: 1 MiB.
const MaxConfig = 1 << 20

// environment resolves flags by their variables. A variable that is set to
// nothing counts as not set.
func (p *parser) environment(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range p.envs[flag.Value] {
			if value := getenv(name); value != "" {
				p.source = " (from " + name + ")"
				return value, nil
			}
		}
		return nil, nil
	})
}

// file resolves flags by the file that the selected command's ConfigFile names,
// if it names one.
func (p *parser) file(trace *kong.Context, node *kong.Node, getenv func(string) string) (kong.Resolver, error) {
	none := kong.ResolverFunc(func(*kong.Context, *kong.Path, *kong.Flag) (any, error) { return nil, nil })
	i := slices.IndexFunc(node.Flags, func(f *kong.Flag) bool {
		_, ok := f.Target.Interface().(ConfigFile)
		return ok
	})
	if i < 0 {
		return none, nil
	}
	config := node.Flags[i]
	name := string(trace.FlagValue(config).(ConfigFile))
	for _, env := range p.envs[config.Value] {
		if name == "" {
			name = getenv(env)
		}
	}
	if name == "" {
		return none, nil
	}
	settings, err := readFile(name)
	if err != nil {
		return none, fmt.Errorf("settings %s: %w", name, err)
	}
	var unknown []error
	for key := range settings {
		known := func(f *kong.Flag) bool { return f.Name == key && f != config && f != p.kong.Model.HelpFlag }
		if !slices.ContainsFunc(node.Flags, known) {
			unknown = append(unknown, fmt.Errorf("settings %s: unknown key %q", name, key))
		}
	}
	slices.SortFunc(unknown, func(a, b error) int { return bytes.Compare([]byte(a.Error()), []byte(b.Error())) })
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value, ok := settings[flag.Name]
		if !ok {
			return nil, nil
		}
		p.source = " (from " + name + ")"
		return value, nil
	}), errors.Join(unknown...)
}

func readFile(name string) (map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err // the name is said by the caller
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxConfig+1))
	if err != nil {
		return nil, err
	}
	return parseSettings(data)
}

// parseSettings reads a YAML mapping of names to single values or lists of them.
// A single value becomes the text that the file has, as if a flag had given it;
// a list becomes a []any of such texts.
func parseSettings(data []byte) (map[string]any, error) {
	if len(data) > MaxConfig {
		return nil, fmt.Errorf("has over %d bytes", MaxConfig)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("not a YAML document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: not a mapping of names to values", root.Line)
	}
	settings := map[string]any{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a name is a plain word", key.Line)
		}
		if _, twice := settings[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %q stands there twice", key.Line, key.Value)
		}
		v, err := plain(value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", value.Line, key.Value, err)
		}
		settings[key.Value] = v
	}
	return settings, nil
}

func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return nil, errors.New("has no value; leave the line out for the default")
		}
		return n.Value, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("is a list of lists; it takes a list of single values")
			}
			list[i] = item.Value
		}
		return list, nil
	default:
		return nil, errors.New("takes a single value or a list")
	}
}
