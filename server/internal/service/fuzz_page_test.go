package service

import (
	"encoding/base64"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// FuzzPageToken: whatever a page token says, the page has nothing but what its reader
// may see, in order and without a gap, and the pages after it have the rest. A token of
// dead letters is good for the listing that it is of alone.
func FuzzPageToken(f *testing.F) {
	const listing = "topics"
	for _, token := range []string{"", "topics", "topics\x00", "topics\x00c", "topics\x00c\x00d", "subscriptions\x00c", "topics\x00zz", "Topics\x00c", "topics\x00\xff"} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(token)), uint16(0b1011_0110), uint8(2))
	}
	f.Add("dG9waWNzAGM=", uint16(0xffff), uint8(0))
	f.Add("dG9waWNz\nAGM", uint16(0xffff), uint8(1))
	f.Add(letterToken("dead letters\x00b\x00", 7), uint16(1), uint8(1))
	name := func(s string) string { return s }
	show := func(s string) (*wrapperspb.StringValue, error) { return wrapperspb.String(s), nil }
	f.Fuzz(func(t *testing.T, token string, visible uint16, size uint8) {
		var list []string
		for i := range 16 {
			if visible&(1<<i) != 0 {
				list = append(list, string(rune('a'+i)))
			}
		}
		var seen []string
		for next := token; ; {
			page, after, err := paginate(list, name, show, listing, int32(size%20), next)
			if err != nil {
				if len(page) != 0 || next != token {
					t.Errorf("%q gives %v and %v", next, page, err)
				}
				break
			}
			for _, element := range page {
				seen = append(seen, element.GetValue())
			}
			if after == "" {
				if len(list) < len(seen) || !slices.Equal(list[len(list)-len(seen):], seen) {
					t.Errorf("from %q on %q are listed of %q", token, seen, list)
				}
				break
			}
			if next = after; len(page) == 0 {
				t.Fatalf("%q gives an empty page that isn't the last", next)
			}
		}
		const letters, others = "dead letters\x00a\x00", "dead letters\x00b\x00"
		place, err := parseLetterToken(letters, token)
		if _, otherErr := parseLetterToken(others, token); token != "" && err == nil && otherErr == nil {
			t.Errorf("%q is good for two listings", token)
		}
		if token != "" && err == nil {
			if again := letterToken(letters, place); again != token {
				t.Errorf("%q says %d, whose token is %q", token, place, again)
			}
		}
	})
}
