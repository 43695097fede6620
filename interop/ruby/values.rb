# frozen_string_literal: true

require 'google/protobuf/well_known_types'
require 'google/protobuf/wrappers_pb'
require 'tidings/conformance/v1/every_kind_pb'

# The values that are published. values/*.json in the directory above says what
# they are.
module Values
  EveryKind = Tidings::Conformance::V1::EveryKind
  Part = Tidings::Conformance::V1::Part
  Any = Google::Protobuf::Any
  Duration = Google::Protobuf::Duration
  Int64Value = Google::Protobuf::Int64Value
  Struct = Google::Protobuf::Struct
  Timestamp = Google::Protobuf::Timestamp

  INT32 = (-(2**31)..2**31 - 1).freeze
  INT64 = (-(2**63)..2**63 - 1).freeze
  MAX_UINT32 = 2**32 - 1
  MAX_UINT64 = 2**64 - 1
  # The highest float of 32 bits; Ruby's own have 64.
  MAX_FLOAT = (2 - 2**-23) * 2.0**127

  module_function

  # All of them, in the order in which they are published.
  def all
    [full, max, min, empty, unicode]
  end

  def full
    EveryKind.new(
      name: 'full', email: 'ada@example.com',
      double_value: 1.5, float_value: -2.25,
      int32_value: -32, int64_value: -64, uint32_value: 32, uint64_value: 64,
      sint32_value: -320, sint64_value: -640,
      fixed32_value: 3200, fixed64_value: 6400, sfixed32_value: -3200, sfixed64_value: -6400,
      bool_value: true, string_value: 'text', bytes_value: [0, 1, 2, 255].pack('C*'),
      colour: :COLOUR_GREEN, optional_number: 7, optional_text: 'there',
      part: Part.new(label: 'outer', count: 1, parts: [Part.new(label: 'inner', count: 2)]),
      numbers: [1, -2, 3], texts: %w[one two],
      parts: [Part.new(label: 'first'), Part.new(label: 'second', count: 2)],
      colours: %i[COLOUR_RED COLOUR_INFRARED],
      texts_by_text: { 'a' => '1', 'b' => '2' },
      parts_by_number: { 1 => Part.new(label: 'one'), -1 => Part.new(label: 'minus one') },
      numbers_by_truth: { true => 1, false => 0 },
      chosen_part: Part.new(label: 'chosen'),
      timestamp: Timestamp.from_time(Time.utc(2026, 11, 22, 12, 34, 56 + 789_012_345/1_000_000_000r)),
      duration: Duration.new(seconds: -1, nanos: -500_000_000),
      wrapped_number: Int64Value.new(value: 0),
      object: Struct.from_hash('list' => [1, 'two', nil, true], 'nested' => { 'key' => 'value' }),
      any: Any.pack(Part.new(label: 'any', count: 3))
    )
  end

  def max
    EveryKind.new(
      name: 'max', double_value: Float::MAX, float_value: MAX_FLOAT,
      int32_value: INT32.max, int64_value: INT64.max, uint32_value: MAX_UINT32, uint64_value: MAX_UINT64,
      sint32_value: INT32.max, sint64_value: INT64.max, fixed32_value: MAX_UINT32, fixed64_value: MAX_UINT64,
      sfixed32_value: INT32.max, sfixed64_value: INT64.max, optional_number: INT32.max,
      numbers: [INT64.max, 2**53 + 1],
      parts_by_number: { INT64.max => Part.new(label: 'max', count: INT32.max) },
      chosen_number: INT64.max,
      timestamp: Timestamp.from_time(Time.utc(9999, 12, 31, 23, 59, 59 + 999_999_999/1_000_000_000r)),
      duration: Duration.new(seconds: 315_576_000_000),
      wrapped_number: Int64Value.new(value: INT64.max)
    )
  end

  def min
    EveryKind.new(
      name: 'min', double_value: 0.0.next_float, float_value: -MAX_FLOAT,
      int32_value: INT32.min, int64_value: INT64.min, sint32_value: INT32.min, sint64_value: INT64.min,
      sfixed32_value: INT32.min, sfixed64_value: INT64.min, optional_number: INT32.min,
      numbers: [INT64.min, -(2**53 + 1)],
      parts_by_number: { INT64.min => Part.new(label: 'min', count: INT32.min) },
      chosen_number: INT64.min,
      timestamp: Timestamp.from_time(Time.utc(1)),
      duration: Duration.new(seconds: -315_576_000_000),
      wrapped_number: Int64Value.new(value: INT64.min)
    )
  end

  # Has what is there and empty.
  def empty
    EveryKind.new(
      name: 'empty', optional_number: 0, optional_text: '',
      part: Part.new, parts: [Part.new], texts: [''],
      chosen_text: '', wrapped_number: Int64Value.new(value: 0), object: Struct.new
    )
  end

  def unicode
    EveryKind.new(
      name: 'unicode',
      string_value: "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n",
      texts: ['🇪🇺', "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
      texts_by_text: { 'ключ' => 'значение', '鍵' => '値' },
      chosen_text: '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
      bytes_value: "\xC3\xBF\xF0\x9F\x8C\x8D".b
    )
  end
end
