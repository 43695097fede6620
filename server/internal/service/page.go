package service

import (
	"encoding/base64"
	"sort"
	"strings"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const defaultPageSize = 100

// paginate returns a page of a list that is ordered by name, and the token of
// the next page. A token holds what was listed and the last name of the page
// before it, so it stays right when the list changes.
func paginate[T any](list []T, name func(T) string, listing string, size int32, token string) (page []T, next string, err error) {
	if size == 0 {
		size = defaultPageSize
	}
	if token != "" {
		decoded, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(decoded), listing+"\x00")
		if err != nil || !ok {
			return nil, "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
				"page_token", "must be the next_page_token of a response to the same request")
		}
		list = list[sort.Search(len(list), func(i int) bool { return name(list[i]) > after }):]
	}
	if len(list) <= int(size) {
		return list, "", nil
	}
	page = list[:size]
	last := name(page[size-1])
	return page, base64.RawURLEncoding.EncodeToString([]byte(listing + "\x00" + last)), nil
}
