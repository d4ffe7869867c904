package hand

// record is what the states need to know of a customer in one service. Texts
// point into the answer.
type record struct {
	id      []byte
	email   []byte
	balance int64 // in hundredths
	status  status
	hold    bool
	present bool
}

type status byte

const (
	other status = iota
	pending
	approved
	rejected
	open
	closed
	blocked
	cancelled
)

func statusOf(text []byte) status {
	switch string(text) {
	case "pending":
		return pending
	case "approved":
		return approved
	case "rejected":
		return rejected
	case "open":
		return open
	case "closed":
		return closed
	case "blocked":
		return blocked
	case "cancelled":
		return cancelled
	}
	return other
}

// record reads one, of any of the services: no two of them mean different
// things by the same name.
func (s *scanner) record(r *record) {
	*r = record{present: true}
	for more := s.open('{'); more; more = s.more() {
		switch string(s.key()) {
		case "customer":
			r.id = s.string()
		case "status":
			r.status = statusOf(s.string())
		case "email":
			r.email = s.string()
		case "hold":
			r.hold = string(s.literal()) == "true"
		case "contact":
			for more := s.open('{'); more; more = s.more() {
				if string(s.key()) == "email" {
					r.email = s.string()
				} else {
					s.skip()
				}
			}
		case "balance":
			for more := s.open('{'); more; more = s.more() {
				if string(s.key()) == "amount" {
					r.balance = hundredths(s.string())
				} else {
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
}

// hundredths reads a decimal with two places.
func hundredths(text []byte) (n int64) {
	negative := false
	for _, c := range text {
		switch {
		case c == '-':
			negative = true
		case c >= '0' && c <= '9':
			n = 10*n + int64(c-'0')
		}
	}
	if negative {
		return -n
	}
	return n
}

// page reads {"items": […], "next": "…"}.
func page(text []byte, into []record) (records []record, next []byte, err error) {
	s := &scanner{text: text}
	records = into[:0]
	for more := s.open('{'); more; more = s.more() {
		switch string(s.key()) {
		case "items":
			for more := s.open('['); more; more = s.more() {
				if len(records) < cap(records) {
					records = records[:len(records)+1]
				} else {
					records = append(records, record{})
				}
				s.record(&records[len(records)-1])
			}
		case "next":
			next = s.string()
		default:
			s.skip()
		}
	}
	if s.bad {
		return nil, nil, errJSON
	}
	return records, next, nil
}
