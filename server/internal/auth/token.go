package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// claims are those of a token, all of them.
type claims = jwt.MapClaims

// issuerOf returns the claim `iss` of a token, which isn't verified yet.
func issuerOf(token string) (string, error) {
	if len(token) > maxTokenBytes {
		return "", fmt.Errorf("%w: the token has %d bytes, at most %d are looked at", ErrInvalid, len(token), maxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("%w: it is neither an API key nor a JWT", ErrInvalid)
	}
	payload, err := jwt.NewParser(jwt.WithStrictDecoding()).DecodeSegment(parts[1])
	if err != nil {
		return "", fmt.Errorf("%w: the claims: %w", ErrInvalid, err)
	}
	var found struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &found); err != nil {
		return "", fmt.Errorf("%w: the claims: %w", ErrInvalid, err)
	}
	return found.Issuer, nil
}

// verify returns the principal of a token.
func (t *tokens) verify(token string) (Principal, error) {
	all := claims{}
	_, err := t.parser.ParseWithClaims(token, all, t.key)
	if err == nil {
		err = checkTimes(all)
	}
	// All problems are joined: expired is what is told only where nothing else is wrong.
	if errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenInvalidAudience) && !errors.Is(err, jwt.ErrTokenInvalidIssuer) {
		return Principal{}, fmt.Errorf("%w: %w", ErrExpired, err)
	}
	if err != nil {
		return Principal{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	name, _ := all[t.PrincipalClaim].(string)
	if name == "" {
		return Principal{}, fmt.Errorf("%w: the token has no claim %s that is a text", ErrInvalid, t.PrincipalClaim)
	}
	groups, err := t.groups(all)
	if err != nil {
		return Principal{}, err
	}
	end, err := all.GetExpirationTime()
	if err != nil {
		return Principal{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Principal{Name: t.Name + ":" + name, Groups: groups, Expires: end.Add(*t.ClockSkew)}, nil
}

// key returns the key that a token has to be signed with. An extension that the token
// says has to be understood isn't, whichever it is: RFC 7515, 4.1.11.
func (t *tokens) key(token *jwt.Token) (any, error) {
	if _, critical := token.Header["crit"]; critical {
		return nil, errors.New("the header crit names extensions, of which none is known")
	}
	return t.keys.Keyfunc(token)
}

// endOfTime is the end of the year 9999, in seconds since 1970. What is far beyond it
// overflows, and would be taken for the past.
const endOfTime = 253402300800

func checkTimes(all claims) error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if seconds, ok := all[name].(float64); ok && math.Abs(seconds) >= endOfTime {
			return fmt.Errorf("the claim %s is not a time up to the year 9999", name)
		}
	}
	return nil
}

func (t *tokens) groups(all claims) ([]string, error) {
	switch value := all[t.GroupsClaim].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{t.Name + ":" + value}, nil
	case []any:
		if len(value) > maxGroups {
			return nil, fmt.Errorf("%w: the token has %d groups, at most %d are looked at", ErrInvalid, len(value), maxGroups)
		}
		var groups []string
		for _, group := range value {
			name, ok := group.(string)
			if !ok {
				return nil, fmt.Errorf("%w: the claim %s has what isn't a text", ErrInvalid, t.GroupsClaim)
			}
			groups = append(groups, t.Name+":"+name)
		}
		return groups, nil
	default:
		return nil, fmt.Errorf("%w: the claim %s is not a list of texts", ErrInvalid, t.GroupsClaim)
	}
}
