package command

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/alecthomas/kong"
)

// grammarOf makes the struct that kong reads a grammar from: a field for each
// command, of the type of its settings, or of such a struct for a noun.
func grammarOf(commands []Command) (any, error) {
	v, err := nounOf(commands)
	if err != nil {
		return nil, err
	}
	return v.Addr().Interface(), nil
}

func nounOf(commands []Command) (reflect.Value, error) {
	fields := make([]reflect.StructField, len(commands))
	values := make([]reflect.Value, len(commands))
	for i, c := range commands {
		var err error
		if values[i], err = valueOf(c); err != nil {
			return reflect.Value{}, err
		}
		fields[i] = reflect.StructField{
			Name: "C" + strconv.Itoa(i),
			Type: values[i].Type(),
			Tag:  reflect.StructTag(fmt.Sprintf(`cmd:"" name:%q help:%q`, c.Name, c.Help)),
		}
	}
	v := reflect.New(reflect.StructOf(fields)).Elem()
	for i := range values {
		v.Field(i).Set(values[i])
	}
	return v, nil
}

func valueOf(c Command) (reflect.Value, error) {
	if (c.Run == nil) == (len(c.Verbs) == 0) {
		return reflect.Value{}, fmt.Errorf("command %q needs either Run or Verbs", c.Name)
	}
	if c.Run == nil {
		return nounOf(c.Verbs)
	}
	v := reflect.ValueOf(c.Run())
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, fmt.Errorf("command %q: its Runner is not a pointer to a struct", c.Name)
	}
	return v.Elem(), nil
}

// adopt takes a flag's environment and errors away from kong and to the parser.
func (p *parser) adopt(flag *kong.Flag) {
	p.envs[flag.Value] = flag.Tag.Envs
	flag.Tag.Envs = nil // flag.Envs, which help shows, stays
	if isSecret(flag.Value) {
		flag.Hidden = !flag.Tag.Has(argvTag)
	}
	flag.Mapper = mapper{p, flag.Value, flag.Mapper}
}

// describe is a value's line of help.
func describe(v *kong.Value) string {
	text := v.Help
	if v.Flag != nil {
		for _, env := range v.Flag.Envs {
			text += " ($" + env + ")"
		}
	}
	return text
}

// mapper decodes as the mapper inside does, but keeps what is wrong for the
// parser and lets the default stand until all has been read.
type mapper struct {
	p     *parser
	value *kong.Value
	kong.Mapper
}

func (m mapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	err := m.Mapper.Decode(ctx, target)
	if err == nil && m.value.Enum != "" && target.Kind() == reflect.String && !m.value.EnumMap()[target.String()] {
		err = fmt.Errorf("must be one of %s, not %q", m.value.Enum, target.String())
	}
	if err == nil && m.p.source == "" && isSecret(m.value) && !m.value.Tag.Has(argvTag) && token.Value != m.value.Default {
		err = fmt.Errorf("is not taken from the command line, where others can read it; set %s", firstOr(m.p.envs[m.value], "it in the file"))
	}
	if err == nil {
		return nil
	}
	m.p.problems = append(m.p.problems, fmt.Errorf("%s%s: %w", m.value.ShortSummary(), m.p.source, err))
	target.SetZero()
	if !m.value.HasDefault {
		return nil
	}
	ctx = &kong.DecodeContext{Value: ctx.Value, Scan: kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: m.value.Default})}
	return m.Mapper.Decode(ctx, target)
}

func firstOr(list []string, other string) string {
	if len(list) == 0 {
		return other
	}
	return list[0]
}
