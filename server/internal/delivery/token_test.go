package delivery

import (
	"bytes"
	"encoding/base64"
	"math"
	"testing"

	"example.com/tidings/server/internal/lease"

	storagev1 "example.com/tidings/server/internal/gen/tidings/storage/v1"
)

func testConfig(uid uint64, key byte) *storagev1.SubscriptionConfig {
	return &storagev1.SubscriptionConfig{Uid: uid, TokenKey: bytes.Repeat([]byte{key}, 32)}
}

// refs are the extremes of what a token says, and some between.
var refs = []lease.Ref{
	{},
	{Sequence: 4096, Delivery: 1},
	{Generation: 1, Sequence: 4097, Delivery: 2},
	{Generation: 127, Sequence: 128, Delivery: 16384},
	{Generation: math.MaxUint64, Sequence: math.MaxInt64, Delivery: math.MaxUint32},
	{Sequence: -1},
}

func TestTokens(t *testing.T) {
	tokens := NewTokens(testConfig(17, 1))
	seen := make(map[string]bool)
	for _, want := range refs {
		token := string(tokens.append(nil, want))
		if len(token) > 256 {
			t.Errorf("the token of %v is longer than the contract allows: %q", want, token)
		}
		if seen[token] {
			t.Errorf("the token of %v is that of another", want)
		}
		seen[token] = true
		// The same subscription at another server, or later.
		for _, reader := range []*Tokens{tokens, NewTokens(testConfig(17, 1))} {
			if got, ok := reader.Parse(token); !ok || got != want {
				t.Errorf("%q says %v, want %v", token, got, want)
			}
		}
		for name, other := range map[string]*Tokens{
			"another key":  NewTokens(testConfig(17, 2)),
			"another uid":  NewTokens(testConfig(17<<16, 1)),
			"no key":       NewTokens(&storagev1.SubscriptionConfig{Uid: 17}),
			"another both": NewTokens(testConfig(18<<16, 3)),
		} {
			if got, ok := other.Parse(token); ok {
				t.Errorf("with %s, %q says %v", name, token, got)
			}
		}
	}
}

// TestTokenForm: what lacks a number is no token, whoever had the key.
func TestTokenForm(t *testing.T) {
	tokens := NewTokens(testConfig(17, 1))
	sealed := func(body ...byte) string {
		raw := append(bytes.Clone(tokens.prefix[:]), body...)
		code := tokens.code(raw)
		return base64.RawURLEncoding.EncodeToString(append(raw, code[:]...))
	}
	if got, ok := tokens.Parse(sealed(1, 2, 3)); !ok || got != (lease.Ref{Generation: 1, Sequence: 2, Delivery: 3}) {
		t.Fatalf("a token made by hand says %v", got)
	}
	for name, token := range map[string]string{
		"no numbers":     sealed(),
		"two numbers":    sealed(1, 2),
		"an open varint": sealed(1, 2, 0x83),
		"a huge varint":  sealed(1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		if got, ok := tokens.Parse(token); ok {
			t.Errorf("%s: %q says %v", name, token, got)
		}
	}
}

// TestTokensOfEarlierRelease: what 0.2.0 delivered can be settled, and what is delivered
// for one of its servers. The token was made by HMAC alone.
func TestTokensOfEarlierRelease(t *testing.T) {
	const token = "AQAAAAAAAAECA-b332z-tOiQsa9new"
	tokens, want := NewTokens(testConfig(17, 1)), lease.Ref{Generation: 1, Sequence: 2, Delivery: 3}
	if got, ok := tokens.Parse(token); !ok || got != want {
		t.Errorf("it says %v", got)
	}
	tokens.olderVersion()
	if again := string(tokens.append(nil, want)); again != token {
		t.Errorf("it is %s now", again)
	}
	for name, other := range map[string]*storagev1.SubscriptionConfig{"another key": testConfig(17, 2), "another uid": testConfig(17<<16, 1)} {
		if got, ok := NewTokens(other).Parse(token); ok {
			t.Errorf("with %s, it says %v", name, got)
		}
	}
}

// TestTokensAllocateNothing: every event that is consumed has one made and read.
func TestTokensAllocateNothing(t *testing.T) {
	tokens, room := NewTokens(testConfig(17<<16, 1)), make([]byte, 0, 64)
	ref := lease.Ref{Generation: 3, Sequence: 123_456_789, Delivery: 1}
	token := string(tokens.append(nil, ref))
	if got := testing.AllocsPerRun(100, func() {
		room = tokens.append(room[:0], ref)
		tokens.Parse(token)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkTokens makes a token and reads it, as every event needs.
func BenchmarkTokens(b *testing.B) {
	tokens, room := NewTokens(testConfig(17<<16, 1)), make([]byte, 0, 64)
	b.ReportAllocs()
	for sequence := int64(1); b.Loop(); sequence++ {
		room = tokens.append(room[:0], lease.Ref{Sequence: sequence, Delivery: 1})
		if _, ok := tokens.Parse(string(room)); !ok {
			b.Fatal("it isn't known")
		}
	}
}

// FuzzParseToken: nothing is taken for a token but what append wrote.
func FuzzParseToken(f *testing.F) {
	f.Add("", uint64(0), int64(0), uint32(0))
	for _, ref := range refs {
		token := NewTokens(testConfig(17, 1)).append(nil, ref)
		f.Add(string(token), ref.Generation, ref.Sequence, ref.Delivery)
		f.Add(string(token)+"\n", ref.Generation, ref.Sequence, ref.Delivery)
	}
	f.Fuzz(func(t *testing.T, text string, generation uint64, sequence int64, delivery uint32) {
		tokens, foreign := NewTokens(testConfig(17, 1)), NewTokens(testConfig(17, 2))
		if ref, ok := tokens.Parse(text); ok {
			if again := string(tokens.append(nil, ref)); again != text {
				t.Errorf("%q says %v, whose token is %q", text, ref, again)
			}
		}
		want := lease.Ref{Generation: generation, Sequence: sequence, Delivery: delivery}
		token := string(tokens.append([]byte("before "), want))[len("before "):]
		if got, ok := tokens.Parse(token); !ok || got != want {
			t.Errorf("%q says %v, want %v", token, got, want)
		}
		if got, ok := foreign.Parse(token); ok {
			t.Errorf("to another subscription, %q says %v", token, got)
		}
	})
}
