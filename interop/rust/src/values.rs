//! The values that are published. `values/*.json` in the directory above says what
//! they are.

use std::collections::HashMap;

use prost_types::{Any, Duration, Struct, Timestamp, Value, value::Kind};
use example_tidings::conformance::v1::{Colour, EveryKind, Part, every_kind::Choice};

/// All values, in the order in which they are published.
pub fn all() -> Vec<EveryKind> {
    vec![full(), max(), min(), empty(), unicode()]
}

pub fn full() -> EveryKind {
    EveryKind {
        name: "full".into(),
        email: "ada@example.com".into(),
        double_value: 1.5,
        float_value: -2.25,
        int32_value: -32,
        int64_value: -64,
        uint32_value: 32,
        uint64_value: 64,
        sint32_value: -320,
        sint64_value: -640,
        fixed32_value: 3200,
        fixed64_value: 6400,
        sfixed32_value: -3200,
        sfixed64_value: -6400,
        bool_value: true,
        string_value: "text".into(),
        bytes_value: vec![0, 1, 2, 255],
        colour: Colour::Green.into(),
        optional_number: Some(7),
        optional_text: Some("there".into()),
        part: Some(Part {
            parts: vec![part("inner", 2)],
            ..part("outer", 1)
        }),
        numbers: vec![1, -2, 3],
        texts: vec!["one".into(), "two".into()],
        parts: vec![part("first", 0), part("second", 2)],
        colours: vec![Colour::Red.into(), Colour::Infrared.into()],
        texts_by_text: texts([("a", "1"), ("b", "2")]),
        parts_by_number: HashMap::from([(1, part("one", 0)), (-1, part("minus one", 0))]),
        numbers_by_truth: HashMap::from([(true, 1), (false, 0)]),
        choice: Some(Choice::ChosenPart(part("chosen", 0))),
        // 2026-11-22T12:34:56.789012345Z
        timestamp: Some(Timestamp {
            seconds: 1_795_350_896,
            nanos: 789_012_345,
        }),
        duration: Some(Duration {
            seconds: -1,
            nanos: -500_000_000,
        }),
        wrapped_number: Some(0),
        object: Some(object([
            (
                "list",
                list([
                    Kind::NumberValue(1.0),
                    Kind::StringValue("two".into()),
                    Kind::NullValue(0),
                    Kind::BoolValue(true),
                ]),
            ),
            (
                "nested",
                Kind::StructValue(object([("key", Kind::StringValue("value".into()))])),
            ),
        ])),
        any: Some(Any::from_msg(&part("any", 3)).expect("a message can be encoded")),
    }
}

fn max() -> EveryKind {
    EveryKind {
        name: "max".into(),
        double_value: f64::MAX,
        float_value: f32::MAX,
        int32_value: i32::MAX,
        int64_value: i64::MAX,
        uint32_value: u32::MAX,
        uint64_value: u64::MAX,
        sint32_value: i32::MAX,
        sint64_value: i64::MAX,
        fixed32_value: u32::MAX,
        fixed64_value: u64::MAX,
        sfixed32_value: i32::MAX,
        sfixed64_value: i64::MAX,
        optional_number: Some(i32::MAX),
        numbers: vec![i64::MAX, (1 << 53) + 1],
        parts_by_number: HashMap::from([(i64::MAX, part("max", i32::MAX))]),
        choice: Some(Choice::ChosenNumber(i64::MAX)),
        // 9999-12-31T23:59:59.999999999Z
        timestamp: Some(Timestamp {
            seconds: 253_402_300_799,
            nanos: 999_999_999,
        }),
        duration: Some(seconds(315_576_000_000)),
        wrapped_number: Some(i64::MAX),
        ..Default::default()
    }
}

fn min() -> EveryKind {
    EveryKind {
        name: "min".into(),
        double_value: f64::from_bits(1),
        float_value: f32::MIN,
        int32_value: i32::MIN,
        int64_value: i64::MIN,
        sint32_value: i32::MIN,
        sint64_value: i64::MIN,
        sfixed32_value: i32::MIN,
        sfixed64_value: i64::MIN,
        optional_number: Some(i32::MIN),
        numbers: vec![i64::MIN, -((1 << 53) + 1)],
        parts_by_number: HashMap::from([(i64::MIN, part("min", i32::MIN))]),
        choice: Some(Choice::ChosenNumber(i64::MIN)),
        // 0001-01-01T00:00:00Z
        timestamp: Some(Timestamp {
            seconds: -62_135_596_800,
            nanos: 0,
        }),
        duration: Some(seconds(-315_576_000_000)),
        wrapped_number: Some(i64::MIN),
        ..Default::default()
    }
}

/// Has what is there and empty.
fn empty() -> EveryKind {
    EveryKind {
        name: "empty".into(),
        optional_number: Some(0),
        optional_text: Some(String::new()),
        part: Some(Part::default()),
        parts: vec![Part::default()],
        texts: vec![String::new()],
        choice: Some(Choice::ChosenText(String::new())),
        wrapped_number: Some(0),
        object: Some(Struct::default()),
        ..Default::default()
    }
}

fn unicode() -> EveryKind {
    EveryKind {
        name: "unicode".into(),
        string_value: "Grüße, 世界, עולם, 🌍, e\u{301}, \"\\/\n".into(),
        texts: ["🇪🇺", "\u{feff}", "\u{2028}", "👩\u{200d}👩\u{200d}👧"]
            .map(String::from)
            .into(),
        texts_by_text: texts([("ключ", "значение"), ("鍵", "値")]),
        choice: Some(Choice::ChosenText("𝔘𝔫𝔦𝔠𝔬𝔡𝔢".into())),
        bytes_value: vec![0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d],
        ..Default::default()
    }
}

fn part(label: &str, count: i32) -> Part {
    Part {
        label: label.into(),
        count,
        parts: vec![],
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn texts<const N: usize>(entries: [(&str, &str); N]) -> HashMap<String, String> {
    entries
        .map(|(key, value)| (key.into(), value.into()))
        .into()
}

fn object<const N: usize>(fields: [(&str, Kind); N]) -> Struct {
    Struct {
        fields: fields
            .map(|(key, kind)| (key.into(), Value { kind: Some(kind) }))
            .into(),
    }
}

fn list<const N: usize>(kinds: [Kind; N]) -> Kind {
    Kind::ListValue(prost_types::ListValue {
        values: kinds.map(|kind| Value { kind: Some(kind) }).into(),
    })
}
