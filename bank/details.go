package bank

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Details make the records look like a bank's: names, streets, references. No
// state depends on them. They are made up from the customer's seed whenever
// they are shown, so that they cost no memory.

var (
	givenNames = []string{
		"Ada", "Ben", "Clara", "David", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Liam",
		"Mira", "Noah", "Olga", "Paul", "Rosa", "Samir", "Tara", "Viktor", "Wanda", "Yusuf", "Zoe", "Emil",
	}
	familyNames = []string{
		"Adler", "Berger", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hughes", "Ivanova", "Jansen",
		"Keller", "Lopez", "Murphy", "Novak", "Okafor", "Petit", "Quinn", "Rossi", "Schmidt", "Taylor",
	}
	streets = []string{
		"Lindenweg", "Station Road", "Rue Verte", "Kerkstraat", "Calle Mayor", "Hafenstrasse", "Mill Lane", "Ringweg",
	}
	cities = map[string]string{
		"AT": "Wien", "DE": "Berlin", "ES": "Madrid", "FR": "Lyon", "GB": "Leeds", "IE": "Cork", "NL": "Utrecht",
	}
	countries = []string{"DE", "GB", "FR", "DE", "NL", "ES", "GB", "DE", "IE", "AT"} // the more often, the more likely
	domains   = []string{"mail.example", "post.example", "inbox.example"}
)

// scramble spreads the bits of x (splitmix64).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// mix turns text into bits.
func mix(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return scramble(h.Sum64())
}

// pick chooses from a list by the seed; different shifts choose independently.
func pick(list []string, seed uint64, shift uint) string {
	return list[(seed>>shift)%uint64(len(list))]
}

func givenName(r *record) string  { return pick(givenNames, r.c.seed, 0) }
func familyName(r *record) string { return pick(familyNames, r.c.seed, 8) }

func street(r *record) string {
	return pick(streets, r.c.seed, 16) + " " + strconv.FormatUint(1+(r.c.seed>>20)%180, 10)
}

// country falls back where identity doesn't know the customer.
func (c *customer) country() string {
	if c.identity == nil {
		return pick(countries, c.seed, 28)
	}
	return c.identity.country
}

func language(r *record) string {
	switch r.c.country() {
	case "GB", "IE":
		return "en"
	case "ES":
		return "es"
	case "FR":
		return "fr"
	case "NL":
		return "nl"
	}
	return "de"
}

func bornOn(r *record) string {
	days := int((r.c.seed >> 32) % 20000)
	return time.Date(1948, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days).Format(time.DateOnly)
}

// address is the customer's first e-mail address, and after changes a later
// one.
func (c *customer) address(changes int) string {
	local := pick(givenNames, c.seed, 0) + "." + pick(familyNames, c.seed, 8)
	number := c.id[len("cus_"):]
	if changes > 0 {
		number += "-" + strconv.Itoa(changes)
	}
	return strings.ToLower(local) + "." + number + "@" + pick(domains, c.seed, 40)
}
