package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"amend"
	"amend/conditions"
	"amend/rules"
)

// literal writes a plain YAML value as the expression that gives it, in the
// type that is wanted where both are numbers; false for lists and maps.
func literal(v any, wanted amend.Type) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case nil:
		return "{null}", true
	case int64:
		if wanted == amend.Double {
			return fmt.Sprintf("{double(%d)}", x), true
		}
		return fmt.Sprintf("{%d}", x), true
	case float64:
		return fmt.Sprintf("{double(%s)}", strconv.FormatFloat(x, 'g', -1, 64)), true
	case bool:
		return fmt.Sprintf("{%t}", x), true
	}
	return "", false
}

// effects compile what an operation's sets promise, and find values that the
// fields never have.
func (b *builder) effects(path string, service *amend.Service, operation *amend.Operation) []rules.Effect {
	names := []conditions.Variable{{Name: "id", Type: amend.String}, {Name: "entity", Type: amend.String}}
	for _, p := range operation.With {
		names = append(names, conditions.Variable{Name: p.Name, Type: p.Type})
	}
	env, err := conditions.NewDynamic(names...)
	if err != nil {
		b.complain(path, "%s", err)
		return nil
	}
	var effects []rules.Effect
	for _, name := range slices.Sorted(maps.Keys(operation.Sets)) {
		index, field := service.Field(name)
		if field == nil {
			continue // reported where the operation is declared
		}
		if operation.Sets[name] == amend.Any {
			effects = append(effects, rules.Effect{Field: index, Any: true})
			continue
		}
		text, findings := effect(env, field, operation.Sets[name])
		b.take(path+"."+name, findings)
		effects = append(effects, rules.Effect{Field: index, Value: text})
	}
	return effects
}

func effect(env *conditions.Dynamic, field *amend.Field, value any) (*conditions.Text, amend.Findings) {
	written, single := literal(value, field.Type)
	if !single {
		return nil, amend.Findings{{Text: fmt.Sprintf("%s is a single value", field.Name)}}
	}
	text, findings := env.Text(written)
	if len(findings) > 0 {
		return nil, findings
	}
	if t := text.Type(); t != field.Type && t != amend.Null && field.Type != amend.Null {
		return nil, amend.Findings{{Text: fmt.Sprintf("%s is %s, this is %s", field.Name, field.Type, t)}}
	}
	if s, isText := value.(string); isText && len(field.Values) > 0 && !strings.Contains(s, "{") && !slices.Contains(field.Values, s) {
		return nil, amend.Findings{{Text: fmt.Sprintf("%s is never %q", field.Name, s), Hint: didYouMean(s, field.Values)}}
	}
	return text, nil
}
