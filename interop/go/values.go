package main

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	conformancev1 "example.com/tidings/conformance/gen/go/tidings/conformance/v1"
)

// values returns the values that are published, in order. values/*.json in the
// directory above says what they are.
func values() []*conformancev1.EveryKind {
	return []*conformancev1.EveryKind{full(), maximal(), minimal(), empty(), unicode()}
}

func full() *conformancev1.EveryKind {
	return &conformancev1.EveryKind{
		Name: "full", Email: "ada@example.com",
		DoubleValue: 1.5, FloatValue: -2.25,
		Int32Value: -32, Int64Value: -64, Uint32Value: 32, Uint64Value: 64,
		Sint32Value: -320, Sint64Value: -640,
		Fixed32Value: 3200, Fixed64Value: 6400, Sfixed32Value: -3200, Sfixed64Value: -6400,
		BoolValue: true, StringValue: "text", BytesValue: []byte{0, 1, 2, 255},
		Colour:         conformancev1.Colour_COLOUR_GREEN,
		OptionalNumber: new(int32(7)), OptionalText: new("there"),
		Part:    &conformancev1.Part{Label: "outer", Count: 1, Parts: []*conformancev1.Part{{Label: "inner", Count: 2}}},
		Numbers: []int64{1, -2, 3}, Texts: []string{"one", "two"},
		Parts:          []*conformancev1.Part{{Label: "first"}, {Label: "second", Count: 2}},
		Colours:        []conformancev1.Colour{conformancev1.Colour_COLOUR_RED, conformancev1.Colour_COLOUR_INFRARED},
		TextsByText:    map[string]string{"a": "1", "b": "2"},
		PartsByNumber:  map[int64]*conformancev1.Part{1: {Label: "one"}, -1: {Label: "minus one"}},
		NumbersByTruth: map[bool]int32{true: 1, false: 0},
		Choice:         &conformancev1.EveryKind_ChosenPart{ChosenPart: &conformancev1.Part{Label: "chosen"}},
		Timestamp:      timestamppb.New(time.Date(2026, time.November, 22, 12, 34, 56, 789_012_345, time.UTC)),
		Duration:       durationpb.New(-1500 * time.Millisecond),
		WrappedNumber:  wrapperspb.Int64(0),
		Object:         must(structpb.NewStruct(map[string]any{"list": []any{1, "two", nil, true}, "nested": map[string]any{"key": "value"}})),
		Any:            must(anypb.New(&conformancev1.Part{Label: "any", Count: 3})),
	}
}

func maximal() *conformancev1.EveryKind {
	return &conformancev1.EveryKind{
		Name:        "max",
		DoubleValue: math.MaxFloat64, FloatValue: math.MaxFloat32,
		Int32Value: math.MaxInt32, Int64Value: math.MaxInt64, Uint32Value: math.MaxUint32, Uint64Value: math.MaxUint64,
		Sint32Value: math.MaxInt32, Sint64Value: math.MaxInt64,
		Fixed32Value: math.MaxUint32, Fixed64Value: math.MaxUint64, Sfixed32Value: math.MaxInt32, Sfixed64Value: math.MaxInt64,
		OptionalNumber: new(int32(math.MaxInt32)),
		Numbers:        []int64{math.MaxInt64, 1<<53 + 1},
		PartsByNumber:  map[int64]*conformancev1.Part{math.MaxInt64: {Label: "max", Count: math.MaxInt32}},
		Choice:         &conformancev1.EveryKind_ChosenNumber{ChosenNumber: math.MaxInt64},
		Timestamp:      timestamppb.New(time.Date(9999, time.December, 31, 23, 59, 59, 999_999_999, time.UTC)),
		Duration:       &durationpb.Duration{Seconds: 315_576_000_000},
		WrappedNumber:  wrapperspb.Int64(math.MaxInt64),
	}
}

func minimal() *conformancev1.EveryKind {
	return &conformancev1.EveryKind{
		Name:        "min",
		DoubleValue: math.SmallestNonzeroFloat64, FloatValue: -math.MaxFloat32,
		Int32Value: math.MinInt32, Int64Value: math.MinInt64,
		Sint32Value: math.MinInt32, Sint64Value: math.MinInt64,
		Sfixed32Value: math.MinInt32, Sfixed64Value: math.MinInt64,
		OptionalNumber: new(int32(math.MinInt32)),
		Numbers:        []int64{math.MinInt64, -(1<<53 + 1)},
		PartsByNumber:  map[int64]*conformancev1.Part{math.MinInt64: {Label: "min", Count: math.MinInt32}},
		Choice:         &conformancev1.EveryKind_ChosenNumber{ChosenNumber: math.MinInt64},
		Timestamp:      timestamppb.New(time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)),
		Duration:       &durationpb.Duration{Seconds: -315_576_000_000},
		WrappedNumber:  wrapperspb.Int64(math.MinInt64),
	}
}

// empty has what is there and empty.
func empty() *conformancev1.EveryKind {
	return &conformancev1.EveryKind{
		Name:           "empty",
		OptionalNumber: new(int32(0)), OptionalText: new(""),
		Part: &conformancev1.Part{}, Parts: []*conformancev1.Part{{}}, Texts: []string{""},
		Choice:        &conformancev1.EveryKind_ChosenText{ChosenText: ""},
		WrappedNumber: wrapperspb.Int64(0),
		Object:        &structpb.Struct{},
	}
}

func unicode() *conformancev1.EveryKind {
	//nolint:gosmopolitan // Scripts are what it is about.
	return &conformancev1.EveryKind{
		Name:        "unicode",
		StringValue: "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
		Texts:       []string{"🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"},
		TextsByText: map[string]string{"ключ": "значение", "鍵": "値"},
		Choice:      &conformancev1.EveryKind_ChosenText{ChosenText: "𝔘𝔫𝔦𝔠𝔬𝔡𝔢"},
		BytesValue:  []byte{0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d},
	}
}

// must is for values that are valid because they are written above.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
