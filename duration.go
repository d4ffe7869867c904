package amend

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads "5m", "2h30m", "3d" or "7y": what time.ParseDuration
// knows, and days of 24 hours and years of 365 days as a single unit.
func ParseDuration(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "y": 365 * 24 * time.Hour} {
		number, found := strings.CutSuffix(text, suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" || n*float64(unit) > float64(1<<62) {
			return 0, fmt.Errorf("%q is not a duration such as 30s, 5m, 2h, 3d or 7y", text)
		}
		return time.Duration(n * float64(unit)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 5m, 2h, 3d or 7y", text)
	}
	return d, nil
}
