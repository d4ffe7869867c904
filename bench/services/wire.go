package services

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// service is one of the five. It speaks as much HTTP/1.1 as its callers use: a
// server of net/http would cost as much as the clients that are measured.
type service struct {
	bank  *bank
	index int

	calls, records, bytes atomic.Int64
}

func (s *service) run(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

// headRoom is kept free before an answer's body, so that head and body are
// written at once.
const headRoom = 128

func (s *service) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the caller has left
	in := bufio.NewReaderSize(conn, 16<<10)
	out := make([]byte, headRoom, 4<<10)
	for {
		method, target, err := readRequest(in)
		if err != nil {
			return
		}
		s.calls.Add(1)
		var status string
		status, out = s.answer(method, target, out[:headRoom])
		head := fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", status, len(out)-headRoom)
		begin := headRoom - len(head)
		copy(out[begin:], head)
		n, err := conn.Write(out[begin:])
		s.bytes.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// readRequest reads a request and passes over its body: the target says all.
func readRequest(in *bufio.Reader) (method, target string, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", "", err
	}
	parts := strings.SplitN(string(line), " ", 3)
	if len(parts) < 3 {
		return "", "", io.ErrUnexpectedEOF
	}
	length := 0
	for {
		line, err = in.ReadSlice('\n')
		if err != nil {
			return "", "", err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", "", err
			}
		}
	}
	_, err = in.Discard(length)
	return parts[0], parts[1], err
}

const (
	ok       = "200 OK"
	noOne    = "404 Not Found"
	notKnown = "400 Bad Request"
)

// answer adds the body of an answer:
//
//	GET /customers/{id}                       one customer
//	GET /customers?ids={id},{id},…            those that there are
//	GET /customers?limit={n}&cursor={cursor}  a page of all, in the order of IDs
//	    …&since={time}                        of those that changed
//	PUT /customers/{id}/status                blocks the card, at the service cards
//
// With fields={…} a record has the fields that bank.yaml declares.
func (s *service) answer(method, target string, out []byte) (status string, _ []byte) {
	path, query, _ := strings.Cut(target, "?")
	path, known := strings.CutPrefix(path, "/customers")
	id, act, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case !known:
		return notKnown, out
	case method == "PUT" && act == "status" && s.index == cards:
		s.bank.mend(number(id))
		return ok, append(out, "{}"...)
	case method != "GET" || act != "":
		return notKnown, out
	case id != "":
		return s.one(id, strings.Contains(query, "fields="), out)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return notKnown, out
	}
	if ids := values.Get("ids"); ids != "" {
		return ok, s.many(ids, values.Has("fields"), out)
	}
	return ok, s.list(values, out)
}

// number is the number in an ID; 0 where there is none.
func number(id string) int {
	digits, is := strings.CutPrefix(id, "cus_")
	n, err := strconv.Atoi(digits)
	if !is || err != nil {
		return 0
	}
	return n
}

func (s *service) one(id string, masked bool, out []byte) (string, []byte) {
	out, is := s.bank.append(out, s.bank.loaded(), record{s.index, number(id), masked})
	if !is {
		return noOne, append(out, `{"code":"no_such_customer"}`...)
	}
	s.records.Add(1)
	return ok, out
}

func (s *service) many(ids string, masked bool, out []byte) []byte {
	l := s.bank.loaded()
	out = append(out, `{"items":[`...)
	given := int64(0)
	for id := range strings.SplitSeq(ids, ",") {
		var is bool
		if out, is = s.bank.append(out, l, record{s.index, number(id), masked}); is {
			out, given = append(out, ','), given+1
		}
	}
	s.records.Add(given)
	return append(bytes.TrimSuffix(out, []byte(",")), `]}`...)
}

// list is a page of all customers, or of those that changed since a time; since
// 1970, everybody has.
func (s *service) list(query url.Values, out []byte) []byte {
	after, errAfter := strconv.Atoi("0" + query.Get("cursor"))
	limit, errLimit := strconv.Atoi(query.Get("limit"))
	if errAfter != nil || errLimit != nil {
		return append(out, `{}`...)
	}
	l, masked := s.bank.loaded(), query.Get("fields") != ""
	since := query.Get("since")
	all := since == "" || strings.HasPrefix(since, "1970-")
	given, last := 0, after
	out = append(out, `{"items":[`...)
	for ; last < l.Customers && given < limit; last++ {
		if !all && !l.changed(last+1) {
			continue
		}
		if given > 0 {
			out = append(out, ',')
		}
		out, _ = s.bank.append(out, l, record{s.index, last + 1, masked})
		given++
	}
	s.records.Add(int64(given))
	if last < l.Customers {
		return fmt.Appendf(out, `],"next":"%d"}`, last)
	}
	return append(out, `],"next":""}`...)
}
