package connectors

import "time"

const (
	// kneeWindow is how many calls a reading of the latency rests on, at least:
	// with fewer, chance decides.
	kneeWindow = 10
	// kneeSlow is how many times as slow calls are when the limit is halved.
	kneeSlow = 2.5
	// kneeSame is the part of a latency above which another is taken for the same.
	kneeSame = 0.8
	// kneeFaster is the part of the base below which the service has become faster.
	kneeFaster = 0.7
	// kneeProbe is how often the limit is halved for one reading, to see how fast
	// the service is without a queue of ours; kneeProbeCost is the least multiple
	// of that reading's length that lies between two.
	kneeProbe     = 10 * time.Second
	kneeProbeCost = 20
	// kneeBad is how many calls are answered beside each that is turned away, at
	// most, where that is for want of room.
	kneeBad = 10
	// kneeRefused is the part of the limit that is left where calls are turned
	// away, and kneeRoom how long the limit then stays below what it was.
	kneeRefused = 0.7
	kneeRoom    = time.Minute
)

// kind is what a call asks: answers to different questions take different times.
type kind uint8

const (
	oneCall kind = iota
	manyCall
	listCall
	sendCall
	kinds = iota
)

// times are how long calls took, by what they asked.
type times struct {
	sum [kinds]time.Duration
	n   [kinds]int
	all int
}

func (t *times) add(k kind, d time.Duration) {
	t.sum[k] += d
	t.n[k]++
	t.all++
}

func (t *times) mean(k kind) time.Duration { return t.sum[k] / time.Duration(t.n[k]) }

// knee finds how many calls at once a service can use: about the fewest with
// which it does as much as with more. Below that a call takes as long as one
// alone; above it calls queue up in the service, and take longer the more there
// are. Of the calls that are answered it learns only from those that took the
// last slot: a limit that is never reached doesn't change.
type knee struct {
	limit  float64
	most   int                  // that was allowed when the limit was set; 0: it never was
	base   [kinds]time.Duration // how long calls take without a queue
	window times                // of calls that began under the limit
	begun  time.Time            // when the limit was set
	good   int                  // calls since then that were answered
	bad    int                  // and that were turned away
	mode   kneeMode
	before float64   // the limit that a probe has halved
	slower float64   // how slow calls were before the limit was halved
	probe  time.Time // when the next is due
	room   float64   // the most with which no call was turned away …
	full   time.Time // … which holds until then
}

type kneeMode uint8

const (
	following kneeMode = iota
	probing            // halved for one reading
	cutting            // halved since calls became slow
)

// slots is how many calls may be in flight, at most.
func (k *knee) slots(most int) int {
	if k.limit >= float64(k.most) { // it is what is allowed, which may be more by now
		return most
	}
	return max(1, min(most, int(k.limit+0.5)))
}

// ended learns from a call of which most are allowed at once.
func (k *knee) ended(w *waiter, e ending, now time.Time, most int) {
	if e == withdrawn || w.began.Before(k.begun) {
		return
	}
	if e == answered {
		k.good++
	}
	if e == answered && !w.full {
		return
	}
	if k.probe.IsZero() {
		k.probe = now
	}
	k.limit, k.most = float64(k.slots(most)), most
	if e == turnedAway {
		k.refused(w.beside, now)
		return
	}
	k.window.add(w.asked, max(now.Sub(w.began), time.Microsecond))
	if k.window.all >= max(kneeWindow, 2*k.slots(most)) {
		k.decide(k.slowness(), now, float64(most))
	}
}

// refused learns that a call was turned away that was in flight beside others.
// One among many says nothing; and a service that answers none is down, which no
// limit helps.
func (k *knee) refused(beside int, now time.Time) {
	if k.bad++; k.bad < 2 || k.good < 2 || kneeBad*k.bad < k.good {
		return
	}
	at := min(k.limit, float64(beside))
	k.mode, k.room, k.full = following, max(1, at-1), now.Add(kneeRoom)
	k.set(at*kneeRefused, now)
	k.good = 0
}

// slowness is by how much the calls of the window took longer than the base.
func (k *knee) slowness() float64 {
	sum := 0.0
	for asked, n := range k.window.n {
		if n == 0 {
			continue
		}
		mean := k.window.mean(kind(asked))
		if k.base[asked] == 0 {
			k.base[asked] = mean
		}
		sum += float64(n) * float64(mean) / float64(k.base[asked])
	}
	return sum / float64(k.window.all)
}

// rebase takes the window's times for those of a service without a queue.
func (k *knee) rebase() {
	for asked, n := range k.window.n {
		if n > 0 {
			k.base[asked] = k.window.mean(kind(asked))
		}
	}
}

// decide takes a whole reading, and sets the limit for the next.
func (k *knee) decide(slower float64, now time.Time, most float64) {
	if k.mode == probing {
		k.probed(slower, now, most)
		return
	}
	if k.newBase(slower) {
		k.rebase()
		slower = 1
	}
	k.mode = following
	switch queue := k.limit * (1 - 1/slower); {
	case slower > kneeSlow && k.limit > 1:
		k.mode, k.slower = cutting, slower
		k.set(k.limit/2, now)
	case !now.Before(k.probe) && k.limit > 1:
		k.mode, k.before, k.slower = probing, k.limit, slower
		k.set(k.limit/2, now)
	case queue > 2+k.limit/5:
		k.set(k.limit/slower+1, now)
	case queue < 1+k.limit/10:
		k.set(min(most, k.limit+max(1, k.limit/2)), now)
	default:
		k.set(k.limit, now)
	}
}

// newBase reports whether the service itself has another speed than before:
// half the calls at once made it no faster, or it is faster than it was alone.
func (k *knee) newBase(slower float64) bool {
	return k.mode == cutting && slower > kneeSame*k.slower || slower < kneeFaster
}

// probed ends a probe. Where half the calls were as slow there was no queue, and
// the limit was right; else it becomes what fills the service.
func (k *knee) probed(slower float64, now time.Time, most float64) {
	length := now.Sub(k.begun)
	if slower > kneeSlow*max(1, k.slower) && k.limit > 1 { // the service has slowed down meanwhile
		k.mode, k.slower, k.probe = cutting, slower, now.Add(max(kneeProbe, kneeProbeCost*length))
		k.set(k.limit/2, now)
		return
	}
	k.rebase()
	k.mode = following
	if slower > kneeSame*k.slower {
		k.probe = now.Add(max(kneeProbe, kneeProbeCost*length))
		k.set(min(most, k.before), now)
		return
	}
	k.probe = now.Add(length) // half of them may still be a queue
	k.set(max(k.before/2, k.before*slower/k.slower)+1, now)
}

// set begins a new reading under a limit.
func (k *knee) set(limit float64, now time.Time) {
	if now.Before(k.full) {
		limit = min(limit, k.room)
	}
	k.limit, k.begun, k.window, k.good, k.bad = max(1, limit), now, times{}, min(k.good, 2), 0
}
