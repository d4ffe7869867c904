package cmd_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"amend/bank"
)

// banks are those that scripts have started, by their control address.
var banks sync.Map

// inOrder lists the customers of a bank who are active; the first is its
// sentinel, who is no customer.
func inOrder(b *bank.Bank) []string { return planted(b, "active")[1:] }

// planted lists the customers whom the bank planted in a state.
func planted(b *bank.Bank, in string) []string {
	var all []string
	for id, state := range b.Planted() {
		if state == in {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// awaitWorker waits until some process is the store's worker, by the file that
// it locks. Trying the lock would get in its way.
func awaitWorker(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(10 * time.Millisecond); ; {
		if _, err := os.Stat(ts.MkAbs("amend.db.lock")); err == nil {
			return
		}
		select {
		case <-tick:
		case <-deadline:
			ts.Fatalf("no worker started")
		}
	}
}

// awaitOutput runs a command until its output matches: until REGEXP COMMAND …
func awaitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND ARGUMENTS")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(50 * time.Millisecond); ; {
		if ts.Exec(args[1], args[2:]...) == nil && wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-tick:
		case <-deadline:
			ts.Fatalf("%s was never said", args[0])
		}
	}
}

// setFault switches a fault of the script's bank: fault SERVICE 503|cut|slow|off.
func setFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fault SERVICE 503|cut|deaf|slow|off")
	}
	b, started := banks.Load(ts.Getenv("CONTROL"))
	if !started {
		ts.Fatalf("fault: start a bank first")
	}
	fault := bank.Fault{Outage: args[1]}
	switch args[1] {
	case "off":
		fault = bank.Fault{}
	case "deaf": // it answers what is read, and nothing that would change anything
		fault = bank.Fault{Outage: bank.OutageCut, Only: bank.OnlyOperations}
	case "slow":
		fault = bank.Fault{Latency: 1500 * time.Millisecond}
	}
	ts.Check(b.(*bank.Bank).Fault(args[0], fault))
}

// requireSent holds what the script's bank has received against a number:
// sent N.
func requireSent(ts *testscript.TestScript, _ bool, args []string) {
	b, started := banks.Load(ts.Getenv("CONTROL"))
	if !started || len(args) != 1 {
		ts.Fatalf("usage: sent N, after a bank has started")
	}
	if got := strconv.Itoa(b.(*bank.Bank).Count().RepairsSent); got != args[0] {
		ts.Fatalf("the bank received %s repairs, not %s", got, args[0])
	}
}
