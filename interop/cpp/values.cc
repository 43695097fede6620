#include "values.h"

#include <cstdint>
#include <limits>
#include <string>

namespace values {
namespace {

using tidings::conformance::v1::EveryKind;
using tidings::conformance::v1::Part;

// The largest and the smallest integers whose neighbours are doubles too.
constexpr std::int64_t kBeyondDouble = (std::int64_t{1} << 53) + 1;

// The lengths and the instants at which Duration and Timestamp end.
constexpr std::int64_t kMaxDuration = 315'576'000'000;
constexpr std::int64_t kYear1 = -62'135'596'800;
constexpr std::int64_t kEndOfYear9999 = 253'402'300'799;

void Set(Part* part, const std::string& label, std::int32_t count = 0) {
  part->set_label(label);
  part->set_count(count);
}

EveryKind Max() {
  constexpr auto kMax32 = std::numeric_limits<std::int32_t>::max();
  constexpr auto kMax64 = std::numeric_limits<std::int64_t>::max();
  EveryKind value;
  value.set_name("max");
  value.set_double_value(std::numeric_limits<double>::max());
  value.set_float_value(std::numeric_limits<float>::max());
  value.set_int32_value(kMax32);
  value.set_int64_value(kMax64);
  value.set_uint32_value(std::numeric_limits<std::uint32_t>::max());
  value.set_uint64_value(std::numeric_limits<std::uint64_t>::max());
  value.set_sint32_value(kMax32);
  value.set_sint64_value(kMax64);
  value.set_fixed32_value(std::numeric_limits<std::uint32_t>::max());
  value.set_fixed64_value(std::numeric_limits<std::uint64_t>::max());
  value.set_sfixed32_value(kMax32);
  value.set_sfixed64_value(kMax64);
  value.set_optional_number(kMax32);
  value.add_numbers(kMax64);
  value.add_numbers(kBeyondDouble);
  Set(&(*value.mutable_parts_by_number())[kMax64], "max", kMax32);
  value.set_chosen_number(kMax64);
  value.mutable_timestamp()->set_seconds(kEndOfYear9999);
  value.mutable_timestamp()->set_nanos(999'999'999);
  value.mutable_duration()->set_seconds(kMaxDuration);
  value.mutable_wrapped_number()->set_value(kMax64);
  return value;
}

EveryKind Min() {
  constexpr auto kMin32 = std::numeric_limits<std::int32_t>::min();
  constexpr auto kMin64 = std::numeric_limits<std::int64_t>::min();
  EveryKind value;
  value.set_name("min");
  value.set_double_value(std::numeric_limits<double>::denorm_min());
  value.set_float_value(std::numeric_limits<float>::lowest());
  value.set_int32_value(kMin32);
  value.set_int64_value(kMin64);
  value.set_sint32_value(kMin32);
  value.set_sint64_value(kMin64);
  value.set_sfixed32_value(kMin32);
  value.set_sfixed64_value(kMin64);
  value.set_optional_number(kMin32);
  value.add_numbers(kMin64);
  value.add_numbers(-kBeyondDouble);
  Set(&(*value.mutable_parts_by_number())[kMin64], "min", kMin32);
  value.set_chosen_number(kMin64);
  value.mutable_timestamp()->set_seconds(kYear1);
  value.mutable_duration()->set_seconds(-kMaxDuration);
  value.mutable_wrapped_number()->set_value(kMin64);
  return value;
}

// Has what is there and empty.
EveryKind Empty() {
  EveryKind value;
  value.set_name("empty");
  value.set_optional_number(0);
  value.set_optional_text("");
  value.mutable_part();
  value.add_parts();
  value.add_texts("");
  value.set_chosen_text("");
  value.mutable_wrapped_number();
  value.mutable_object();
  return value;
}

EveryKind Unicode() {
  EveryKind value;
  value.set_name("unicode");
  value.set_string_value("Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n");
  value.add_texts("🇪🇺");
  value.add_texts("\ufeff");
  value.add_texts("\u2028");
  value.add_texts("👩\u200d👩\u200d👧");
  (*value.mutable_texts_by_text())["ключ"] = "значение";
  (*value.mutable_texts_by_text())["鍵"] = "値";
  value.set_chosen_text("𝔘𝔫𝔦𝔠𝔬𝔡𝔢");
  value.set_bytes_value("\xc3\xbf\xf0\x9f\x8c\x8d");
  return value;
}

}  // namespace

EveryKind Full() {
  EveryKind value;
  value.set_name("full");
  value.set_email("ada@example.com");
  value.set_double_value(1.5);
  value.set_float_value(-2.25F);
  value.set_int32_value(-32);
  value.set_int64_value(-64);
  value.set_uint32_value(32);
  value.set_uint64_value(64);
  value.set_sint32_value(-320);
  value.set_sint64_value(-640);
  value.set_fixed32_value(3200);
  value.set_fixed64_value(6400);
  value.set_sfixed32_value(-3200);
  value.set_sfixed64_value(-6400);
  value.set_bool_value(true);
  value.set_string_value("text");
  value.set_bytes_value(std::string{'\x00', '\x01', '\x02', '\xff'});
  value.set_colour(tidings::conformance::v1::COLOUR_GREEN);
  value.set_optional_number(7);
  value.set_optional_text("there");
  Set(value.mutable_part(), "outer", 1);
  Set(value.mutable_part()->add_parts(), "inner", 2);
  value.add_numbers(1);
  value.add_numbers(-2);
  value.add_numbers(3);
  value.add_texts("one");
  value.add_texts("two");
  Set(value.add_parts(), "first");
  Set(value.add_parts(), "second", 2);
  value.add_colours(tidings::conformance::v1::COLOUR_RED);
  value.add_colours(tidings::conformance::v1::COLOUR_INFRARED);
  (*value.mutable_texts_by_text())["a"] = "1";
  (*value.mutable_texts_by_text())["b"] = "2";
  Set(&(*value.mutable_parts_by_number())[1], "one");
  Set(&(*value.mutable_parts_by_number())[-1], "minus one");
  (*value.mutable_numbers_by_truth())[true] = 1;
  (*value.mutable_numbers_by_truth())[false] = 0;
  Set(value.mutable_chosen_part(), "chosen");
  value.mutable_timestamp()->set_seconds(1'795'350'896);  // 2026-11-22T12:34:56Z
  value.mutable_timestamp()->set_nanos(789'012'345);
  value.mutable_duration()->set_seconds(-1);
  value.mutable_duration()->set_nanos(-500'000'000);
  value.mutable_wrapped_number();
  auto& fields = *value.mutable_object()->mutable_fields();
  auto* list = fields["list"].mutable_list_value();
  list->add_values()->set_number_value(1);
  list->add_values()->set_string_value("two");
  list->add_values()->set_null_value(google::protobuf::NULL_VALUE);
  list->add_values()->set_bool_value(true);
  (*fields["nested"].mutable_struct_value()->mutable_fields())["key"].set_string_value("value");
  Part part;
  Set(&part, "any", 3);
  value.mutable_any()->PackFrom(part);
  return value;
}

std::vector<EveryKind> All() { return {Full(), Max(), Min(), Empty(), Unicode()}; }

}  // namespace values
