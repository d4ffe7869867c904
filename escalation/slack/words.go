package slack

import (
	"fmt"

	"amend/escalation"
)

// over says whether an incident no longer needs anybody.
func over(n escalation.Notice) bool {
	return n.Status == escalation.StatusHealed || n.Status == escalation.StatusClosed
}

// title is the one line that must suffice: how bad, what, who. An incident
// that is over says so in the place of its severity.
func title(n escalation.Notice) string {
	return join(" · ", word(n), line(n.State, maxState), affected(n))
}

// word is never empty, and so the header neither.
func word(n escalation.Notice) string {
	switch {
	case n.Status == escalation.StatusHealed:
		return "Healed"
	case n.Status == escalation.StatusClosed:
		return "Closed"
	case n.Severity == escalation.SeverityHigh:
		return "High"
	case n.Severity == escalation.SeverityLow:
		return "Low"
	default:
		return "Normal"
	}
}

// affected is the customer's ID, or how many there are.
func affected(n escalation.Notice) string {
	switch total := count(n); {
	case total == 0:
		return ""
	case total == 1 && len(n.Customers) == 1:
		return line(n.Customers[0], maxID)
	case total == 1:
		return "1 customer"
	default:
		return grouped(total) + " customers"
	}
}

// customers is the count with the first few IDs.
func customers(n escalation.Notice) string {
	total := count(n)
	named := n.Customers[:min(len(n.Customers), maxNamed)]
	ids := make([]string, len(named))
	for i, id := range named {
		ids[i] = code(id, maxID)
	}
	list := join(" ", ids...)
	switch {
	case total == 0 || (total == 1 && list != ""):
		return list
	case list == "":
		return grouped(total)
	case total > len(named):
		return grouped(total) + ": " + list + " and " + grouped(total-len(named)) + " more"
	default:
		return grouped(total) + ": " + list
	}
}

// count trusts the longer of the two: a count not filled in must not hide
// customers that are named.
func count(n escalation.Notice) int { return max(n.Count, len(n.Customers)) }

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// owner says plainly when an open incident has none.
func owner(n escalation.Notice) string {
	if name := line(n.Owner, maxFact); name != "" || over(n) {
		return name
	}
	return "nobody yet"
}

// summary is the message in a few lines.
func summary(n escalation.Notice) string {
	return join("\n", title(n),
		after("Due ", deadline(n.Due, n.UpdatedAt)),
		after("Owner: ", owner(n)),
		after("Next: ", line(n.Next, maxFact)),
		after("Why: ", line(n.Why, maxWhy)))
}
