package service

import (
	"encoding/base64"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

const (
	defaultPageSize = 100
	// maxPageBytes bounds the elements of a page, unless one alone is larger: most
	// clients take messages up to 4 MiB where nothing else is set.
	maxPageBytes = 3 << 20
)

// pageSize is how many elements a page has at most where so many are asked for.
func pageSize(asked int32) int32 {
	if asked == 0 {
		return defaultPageSize
	}
	return min(asked, maxPageSize)
}

// paginate returns a page of a list that is ordered by name, as show shows its
// elements, and the token of the next page. A token holds what was listed and
// the last name of the page before it, so it stays right when the list changes.
func paginate[T any, M proto.Message](
	list []T, name func(T) string, show func(T) (M, error), listing string, size int32, token string,
) (page []M, next string, err error) {
	size = pageSize(size)
	if token != "" {
		decoded, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(decoded), listing+"\x00")
		if err != nil || !ok {
			return nil, "", fieldFault(tidingsv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
				"page_token", "must be the next_page_token of a response to the same request")
		}
		list = list[sort.Search(len(list), func(i int) bool { return name(list[i]) > after }):]
	}
	bytes := 0
	for i, element := range list {
		shown, err := show(element)
		if err != nil {
			return nil, "", err
		}
		bytes += proto.Size(shown)
		if i > 0 && (i == int(size) || bytes > maxPageBytes) {
			return page, base64.RawURLEncoding.EncodeToString([]byte(listing + "\x00" + name(list[i-1]))), nil
		}
		page = append(page, shown)
	}
	return page, "", nil
}
