// Package amend holds the words that every other package speaks: what a
// customer, a service, a field, a record, a view and an operation are. It does
// no I/O and imports the standard library only.
//
// The map of the tree, in the order in which things happen:
//
//   - connectors read one service and send it one operation; connectors/http
//     and connectors/sql are the two built-in kinds.
//   - conditions are CEL expressions over a View, three-valued.
//   - states say where a View puts a customer: the account machine.
//   - rules are the edges that lead back to a coherent state, the plan of a
//     repair, and the guards that are asked before anything is sent.
//   - lifecycle is what can happen to a case, as one table.
//   - store is the durable truth, queue only wakes work up.
//   - reconciler holds the loops: scan finds, heal fixes.
//   - escalation tells people (escalation/slack), desk is what people may do,
//     dashboard is where they do it.
//   - config turns the YAML documents into all of the above.
//   - bank is the demo: five services that drift apart on purpose.
//   - cmd is the command line that wires everything.
package amend
