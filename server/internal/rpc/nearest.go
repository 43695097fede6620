package rpc

import "strings"

const (
	// maxMisspelt bounds the bytes of what is compared: comparing takes time in
	// their square.
	maxMisspelt = 128
	// maxTypos is how many letters a misspelt text differs in.
	maxTypos = 3
)

// nearest returns the one of some texts that another one differs from in the
// fewest letters, whatever their case, or an empty text where it differs from all
// in many.
func nearest(misspelt string, among []string) (found string) {
	if len(misspelt) > maxMisspelt {
		return ""
	}
	misspelt = strings.ToLower(misspelt)
	fewest := min(maxTypos, len(misspelt)/3) + 1
	for _, text := range among {
		if typos := typosBetween(misspelt, strings.ToLower(text)); typos < fewest {
			found, fewest = text, typos
		}
	}
	return found
}

// typosBetween counts the letters that have to be added, left out and changed to
// make one text of another.
func typosBetween(a, b string) int {
	row := make([]int, len(b)+1) // For what of a was looked at and each beginning of b.
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
