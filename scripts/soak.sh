#!/bin/bash
# Rehearses seeds, notices mutants and kills workers until the goals of
# docs/safety.md are reached or the time is over. What was done is kept for each
# revision: begun again, it goes on where it was.
#
#   SOAK_HOURS  how long it goes on, in hours (8)
set -eu -o pipefail

seeds=10000 kills=2000 effects=200000
folder=$PWD/.tools/soak/$(git describe --always --dirty)
mkdir -p "$folder"
touch "$folder/faults"
end=$(($(date +%s) + ${SOAK_HOURS:-8} * 3600))
export AMEND_SOAK=$folder

# left is how long a part may take, as go test writes it.
left() {
	local seconds=$((end - $(date +%s)))
	[ "$seconds" -gt 120 ] || { totals; echo "== the time is over; make soak goes on"; exit 0; }
	echo "${seconds}s"
}

# sum adds up one figure of all rounds.
sum() {
	awk -v key="$1" '{ for (i = 1; i < NF; i += 2) if ($i == key) n += $(i + 1) } END { print n + 0 }' "$folder/faults"
}

played() { cat "$folder/seeds" 2>/dev/null || echo 0; }

totals() {
	echo "== so far, on $(basename "$folder")"
	echo "   seeds $(played) of $seeds, kills $(sum kills) of $kills, effects $(sum effects) of $effects"
	echo "   mutations $(sum mutations), sent again $(sum again), doubles $(sum doubles), second keys $(sum second_keys)," \
		"wrong $(sum wrong), out of order $(sum out_of_order), healed $(sum healed), with people $(sum people)"
}

if [ ! -e "$folder/mutants" ]; then
	echo "== mutants"
	go test ./rehearsal -run 'TestMutants|Trace' -count=1 -timeout="$(left)"
	touch "$folder/mutants"
fi
while [ "$(played)" -lt "$seeds" ]; do
	echo "== seeds from $(played) on"
	go test ./rehearsal -run 'TestSeeds$' -count=1 -timeout="$(left)"
	totals
done
while [ "$(sum kills)" -lt "$kills" ] || [ "$(sum effects)" -lt "$effects" ]; do
	echo "== a round of kills and outages"
	go test ./internal/faults -count=1 -timeout="$(left)"
	totals
done
echo "== the goals are reached"
