package conditions

// Both evaluates a condition by its closures alone, and by cel-go alone. The
// first says whether the closures settle it; where they don't, odd says that
// they left it to cel-go for the records, else that it erred.
func (c *Condition) Both(scope *Scope) (fast Result, odd bool, slow Result) {
	d := c.compiled(scope)
	fast = Result{Truth: d.truth}
	if d.truth == Undecided {
		fast.Needs = services(d.needs)
	}
	odd, scope.odd = scope.odd, false
	return fast, odd, c.interpret(scope)
}

// Interpret evaluates the condition by cel-go.
func (c *Condition) Interpret(scope *Scope) Result { return c.interpret(scope) }
