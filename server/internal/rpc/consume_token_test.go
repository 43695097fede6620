package rpc_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
)

// forgeries are texts that are close to a token and aren't one.
func forgeries(t *testing.T, token string) map[string]string {
	t.Helper()
	list := map[string]string{
		"empty":           "",
		"a word":          "garbage",
		"not base64":      "☕☕☕☕",
		"long":            strings.Repeat("A", 256),
		"NUL":             "\x00",
		"space before":    " " + token,
		"space after":     token + " ",
		"newline after":   token + "\n",
		"newline inside":  token[:8] + "\n" + token[8:],
		"CR inside":       token[:8] + "\r\n" + token[8:],
		"padding":         token + "=",
		"more padding":    token + "==",
		"longer":          token + "A",
		"longer by four":  token + "AAAA",
		"twice":           token + token,
		"first half":      token[:len(token)/2],
		"in upper case":   strings.ToUpper(token),
		"standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
	}
	for i := range len(token) {
		list["cut after "+token[:i]] = token[:i]
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(raw) {
		forged := slices.Clone(raw)
		forged[bit/8] ^= 1 << (bit % 8)
		list["bit "+string(rune('0'+bit%8))+" of "+token[:bit/8]] = base64.RawURLEncoding.EncodeToString(forged)
	}
	// The last character of base64 has bits that say nothing.
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if forged := token[:len(token)-1] + string(last); forged != token {
			list["last "+string(last)] = forged
		}
	}
	return list
}

func TestMalformedTokens(t *testing.T) {
	for _, d := range doors {
		t.Run("forged/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			publishN(t, c, topic, 2)
			door := d.open(t, testContext(t), c, s)
			token := door.next().GetDeliveryToken()
			var which []string
			var batch []*tidingsv1.Settlement
			for name, forged := range forgeries(t, token) {
				which = append(which, name, name, name)
				batch = append(batch, ack(forged), nack(forged, toDeadLetter), extend(forged, 1e9))
			}
			for i, got := range statuses(door.settle(batch...)) {
				if got != malformed {
					t.Errorf("%s: %v", which[i], got)
				}
			}
			wantStatuses(t, statuses(door.settle(ack("x"), ack(token), ack("x"))), malformed, applied, malformed)
		}, d.need...))
		t.Run("foreign/"+d.name, some(func(t *testing.T, c client) {
			topic, s := newSubscribed(t, c)
			other := newSubscription(t, c, topic)
			deleteAtEnd(t, c, topic, other)
			publishN(t, c, topic, 1)
			door := d.open(t, testContext(t), c, s)
			mine, foreign := door.next().GetDeliveryToken(), pull(t, c, other, 1)[0].GetDeliveryToken()
			wantStatuses(t, statuses(door.settle(ack(foreign), nack(foreign, dropped), extend(foreign, 1e9))), malformed, malformed, malformed)
			wantSettled(t, c, other, malformed, ack(mine))
			wantStatuses(t, statuses(door.settle(ack(mine))), applied)
			wantSettled(t, c, other, applied, ack(foreign))
		}, d.need...))
	}
	t.Run("of a deleted subscription of the same name", some(func(t *testing.T, c client) {
		topic, s := newSubscribed(t, c)
		publishN(t, c, topic, 1)
		old := pull(t, c, s, 1)[0].GetDeliveryToken()
		if _, err := c.DeleteSubscription(testContext(t), &tidingsv1.DeleteSubscriptionRequest{Name: s}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateSubscription(testContext(t), &tidingsv1.CreateSubscriptionRequest{
			Subscription: &tidingsv1.Subscription{Name: s, Topic: topic},
		}); err != nil {
			t.Fatal(err)
		}
		again := pull(t, c, s, 1)[0]
		if again.GetAttempt() != 1 {
			t.Errorf("the new subscription begins with %v", again)
		}
		wantSettled(t, c, s, malformed, ack(old), nack(old, dropped), extend(old, 1e9))
		ackAll(t, c, s, again)
	}))
}
