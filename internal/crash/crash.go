// Package crash names the moments at which the death of a worker is hardest to
// recover from, and lets tests kill a worker at exactly one of them. Random
// kills miss such narrow windows.
//
// In an ordinary build [At] does nothing. Built with -tags crashpoints it reads
// the environment: CRASH_AT=name:n kills the process by SIGKILL when it passes
// the point of that name for the n-th time, after a line on standard error that
// says so.
package crash

// Point is one such moment.
type Point string

// The points, in the order in which things happen.
const (
	// StoreCommitting: a transaction is written, and its COMMIT isn't sent.
	StoreCommitting Point = "store_committing"
	// StoreCommitted: a transaction is committed, and who wrote it doesn't know.
	StoreCommitted Point = "store_committed"

	// ScanBegun: a scan is committed, and nobody is woken for its first page.
	ScanBegun Point = "scan_begun"
	// PageClaimed: a page of a scan is held, and nobody was looked at.
	PageClaimed Point = "page_claimed"
	// PageListed: the next page is committed, and nobody is woken for it.
	PageListed Point = "page_listed"
	// CasesOpened: cases are committed, and nobody is woken for them.
	CasesOpened Point = "cases_opened"
	// PageLooked: a page's customers were looked at, and that isn't written.
	PageLooked Point = "page_looked"
	// PageFinished: a page's end is committed, and nothing follows from it yet.
	PageFinished Point = "page_finished"
	// Swept: the sweep has read whose time has come, and woken nobody.
	Swept Point = "swept"

	// Woken: a heal's wake-up is off the queue, and the case isn't claimed.
	Woken Point = "woken"
	// Claimed: the lease is committed, and the customer wasn't read.
	Claimed Point = "claimed"
	// Looked: every service was read, and nothing is decided.
	Looked Point = "looked"
	// IntentWritten: an intent is written and not committed: nothing may be sent.
	IntentWritten Point = "intent_written"
	// Resending: a step is to be sent again, and nothing of that is committed.
	Resending Point = "resending"
	// IntentCommitted: an intent is committed, and nothing is sent.
	IntentCommitted Point = "intent_committed"
	// Answered: the service has answered, and the outcome isn't written.
	Answered Point = "answered"
	// OutcomeWritten: the outcome is written and not committed.
	OutcomeWritten Point = "outcome_written"
	// OutcomeCommitted: the outcome is committed, and nothing was read since.
	OutcomeCommitted Point = "outcome_committed"
	// RepairProved: a reading has shown all effects of a repair; that it is done
	// is written and not committed.
	RepairProved Point = "repair_proved"
	// RepairRead: what a reading says of an open repair is committed.
	RepairRead Point = "repair_read"
	// ProposalWritten: a repair is proposed, which isn't committed.
	ProposalWritten Point = "proposal_written"
	// EscalationWritten: a case is escalated, which isn't committed.
	EscalationWritten Point = "escalation_written"
	// CaseEnding: a case is about to end, and nothing of that is committed.
	CaseEnding Point = "case_ending"
	// CaseCommitted: a change of a case is committed, and who is to look at it
	// again isn't woken.
	CaseCommitted Point = "case_committed"
	// LetGo: a heal has let go of its case, and the queue doesn't know.
	LetGo Point = "let_go"

	// LetterFound: a proposal or an escalation is committed, and nobody has begun
	// to tell of it.
	LetterFound Point = "letter_found"
	// LetterHeld: the attempt to tell is counted, and nothing is posted.
	LetterHeld Point = "letter_held"
	// LetterPosted: the message is posted, and that isn't written.
	LetterPosted Point = "letter_posted"

	// ChainWritten: entries of the audit are linked, which isn't committed.
	ChainWritten Point = "chain_written"
)

// Points lists all.
func Points() []Point {
	return []Point{
		StoreCommitting, StoreCommitted,
		ScanBegun, PageClaimed, PageListed, CasesOpened, PageLooked, PageFinished, Swept,
		Woken, Claimed, Looked, IntentWritten, Resending, IntentCommitted, Answered, OutcomeWritten, OutcomeCommitted,
		RepairProved, RepairRead, ProposalWritten, EscalationWritten, CaseEnding, CaseCommitted, LetGo,
		LetterFound, LetterHeld, LetterPosted,
		ChainWritten,
	}
}
