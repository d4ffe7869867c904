// Package ids makes identifiers that sort by the time at which they were made.
package ids

import (
	"math/rand/v2"
	"sync"
	"time"
)

// alphabet is Crockford's base 32: no letter can be taken for another.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Maker makes identifiers from a clock and a source of randomness. It is safe
// for concurrent use.
type Maker struct {
	mu  sync.Mutex
	now func() time.Time
	rng *rand.Rand
}

// NewMaker makes a Maker. The same clock and source give the same identifiers.
func NewMaker(now func() time.Time, source rand.Source) *Maker {
	return &Maker{now: now, rng: rand.New(source)}
}

// New makes an identifier such as case_01k8x2m4q7w9a3s5: a prefix, 45 bits of
// milliseconds and 40 random bits.
func (m *Maker) New(prefix string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := make([]byte, 0, len(prefix)+18)
	text = append(append(text, prefix...), '_')
	text = append(text, encode(uint64(m.now().UnixMilli()), 9)...)
	return string(append(text, encode(m.rng.Uint64(), 8)...))
}

func encode(n uint64, digits int) []byte {
	text := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		text[i] = alphabet[n&31]
		n >>= 5
	}
	return text
}
