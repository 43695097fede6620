#include "values.h"

#include <float.h>
#include <stdint.h>

typedef Google__Protobuf__Value Value;
typedef Tidings__Conformance__V1__EveryKind__PartsByNumberEntry PartByNumber;
typedef Tidings__Conformance__V1__EveryKind__TextsByTextEntry TextByText;

#define LENGTH(array) (sizeof(array) / sizeof *(array))
/* A map is a repeated field of entries. */
#define TEXT_BY_TEXT TIDINGS__CONFORMANCE__V1__EVERY_KIND__TEXTS_BY_TEXT_ENTRY__INIT
#define PART_BY_NUMBER TIDINGS__CONFORMANCE__V1__EVERY_KIND__PARTS_BY_NUMBER_ENTRY__INIT
#define NUMBER_BY_TRUTH TIDINGS__CONFORMANCE__V1__EVERY_KIND__NUMBERS_BY_TRUTH_ENTRY__INIT

/* The integer after those that are doubles too. */
static const int64_t beyond_double = (INT64_C(1) << 53) + 1;
/* The length at which a Duration ends, in seconds. */
static const int64_t max_duration = INT64_C(315576000000);

static Part new_part(char *label, int32_t count) {
  Part part = TIDINGS__CONFORMANCE__V1__PART__INIT;
  part.label = label;
  part.count = count;
  return part;
}

static EveryKind new_value(char *name) {
  EveryKind value = TIDINGS__CONFORMANCE__V1__EVERY_KIND__INIT;
  value.name = name;
  return value;
}

static void set_optional_number(EveryKind *value, int32_t number) {
  value->_optional_number_case =
      TIDINGS__CONFORMANCE__V1__EVERY_KIND___OPTIONAL_NUMBER_OPTIONAL_NUMBER;
  value->optional_number = number;
}

static void set_optional_text(EveryKind *value, char *text) {
  value->_optional_text_case = TIDINGS__CONFORMANCE__V1__EVERY_KIND___OPTIONAL_TEXT_OPTIONAL_TEXT;
  value->optional_text = text;
}

static void choose_text(EveryKind *value, char *text) {
  value->choice_case = TIDINGS__CONFORMANCE__V1__EVERY_KIND__CHOICE_CHOSEN_TEXT;
  value->chosen_text = text;
}

static void choose_number(EveryKind *value, int64_t number) {
  value->choice_case = TIDINGS__CONFORMANCE__V1__EVERY_KIND__CHOICE_CHOSEN_NUMBER;
  value->chosen_number = number;
}

/* {"list": [1, "two", null, true], "nested": {"key": "value"}} */
static Google__Protobuf__Struct *full_object(void) {
  static Value items[4];
  static Value *item_pointers[] = {&items[0], &items[1], &items[2], &items[3]};
  for (size_t i = 0; i < LENGTH(items); i++)
    google__protobuf__value__init(&items[i]);
  items[0].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
  items[0].number_value = 1;
  items[1].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
  items[1].string_value = "two";
  items[2].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
  items[2].null_value = GOOGLE__PROTOBUF__NULL_VALUE__NULL_VALUE;
  items[3].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
  items[3].bool_value = 1;
  static Google__Protobuf__ListValue list = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
  list.n_values = LENGTH(item_pointers);
  list.values = item_pointers;

  static Value text = GOOGLE__PROTOBUF__VALUE__INIT;
  text.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
  text.string_value = "value";
  static Google__Protobuf__Struct__FieldsEntry key = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
  key.key = "key";
  key.value = &text;
  static Google__Protobuf__Struct__FieldsEntry *key_pointers[] = {&key};
  static Google__Protobuf__Struct nested = GOOGLE__PROTOBUF__STRUCT__INIT;
  nested.n_fields = LENGTH(key_pointers);
  nested.fields = key_pointers;

  static Value values[2];
  static Google__Protobuf__Struct__FieldsEntry fields[2];
  static Google__Protobuf__Struct__FieldsEntry *field_pointers[] = {&fields[0], &fields[1]};
  for (size_t i = 0; i < LENGTH(fields); i++) {
    google__protobuf__value__init(&values[i]);
    google__protobuf__struct__fields_entry__init(&fields[i]);
    fields[i].value = &values[i];
  }
  fields[0].key = "list";
  values[0].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
  values[0].list_value = &list;
  fields[1].key = "nested";
  values[1].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
  values[1].struct_value = &nested;
  static Google__Protobuf__Struct object = GOOGLE__PROTOBUF__STRUCT__INIT;
  object.n_fields = LENGTH(field_pointers);
  object.fields = field_pointers;
  return &object;
}

static Google__Protobuf__Any *full_any(void) {
  static uint8_t bytes[16];
  static Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
  Part part = new_part("any", 3);
  any.type_url = "type.googleapis.com/tidings.conformance.v1.Part";
  any.value.data = bytes;
  any.value.len = tidings__conformance__v1__part__pack(&part, bytes);
  return &any;
}

static EveryKind full(void) {
  EveryKind value = new_value("full");
  value.email = "ada@example.com";
  value.double_value = 1.5;
  value.float_value = -2.25F;
  value.int32_value = -32;
  value.int64_value = -64;
  value.uint32_value = 32;
  value.uint64_value = 64;
  value.sint32_value = -320;
  value.sint64_value = -640;
  value.fixed32_value = 3200;
  value.fixed64_value = 6400;
  value.sfixed32_value = -3200;
  value.sfixed64_value = -6400;
  value.bool_value = 1;
  value.string_value = "text";
  static uint8_t bytes[] = {0, 1, 2, 255};
  value.bytes_value = (ProtobufCBinaryData){LENGTH(bytes), bytes};
  value.colour = TIDINGS__CONFORMANCE__V1__COLOUR__COLOUR_GREEN;
  set_optional_number(&value, 7);
  set_optional_text(&value, "there");

  static Part outer, inner, first, second, one, minus_one, chosen;
  inner = new_part("inner", 2);
  static Part *inner_parts[] = {&inner};
  outer = new_part("outer", 1);
  outer.n_parts = LENGTH(inner_parts);
  outer.parts = inner_parts;
  value.part = &outer;
  static int64_t numbers[] = {1, -2, 3};
  value.n_numbers = LENGTH(numbers);
  value.numbers = numbers;
  static char *texts[] = {"one", "two"};
  value.n_texts = LENGTH(texts);
  value.texts = texts;
  first = new_part("first", 0);
  second = new_part("second", 2);
  static Part *parts[] = {&first, &second};
  value.n_parts = LENGTH(parts);
  value.parts = parts;
  static Tidings__Conformance__V1__Colour colours[] = {
      TIDINGS__CONFORMANCE__V1__COLOUR__COLOUR_RED,
      TIDINGS__CONFORMANCE__V1__COLOUR__COLOUR_INFRARED};
  value.n_colours = LENGTH(colours);
  value.colours = colours;

  static TextByText a = TEXT_BY_TEXT, b = TEXT_BY_TEXT;
  a.key = "a";
  a.value = "1";
  b.key = "b";
  b.value = "2";
  static TextByText *texts_by_text[] = {&a, &b};
  value.n_texts_by_text = LENGTH(texts_by_text);
  value.texts_by_text = texts_by_text;
  one = new_part("one", 0);
  minus_one = new_part("minus one", 0);
  static PartByNumber at_one = PART_BY_NUMBER, at_minus_one = PART_BY_NUMBER;
  at_one.key = 1;
  at_one.value = &one;
  at_minus_one.key = -1;
  at_minus_one.value = &minus_one;
  static PartByNumber *parts_by_number[] = {&at_one, &at_minus_one};
  value.n_parts_by_number = LENGTH(parts_by_number);
  value.parts_by_number = parts_by_number;
  static Tidings__Conformance__V1__EveryKind__NumbersByTruthEntry yes = NUMBER_BY_TRUTH,
                                                                  no = NUMBER_BY_TRUTH;
  yes.key = 1;
  yes.value = 1;
  static Tidings__Conformance__V1__EveryKind__NumbersByTruthEntry *numbers_by_truth[] = {&yes, &no};
  value.n_numbers_by_truth = LENGTH(numbers_by_truth);
  value.numbers_by_truth = numbers_by_truth;

  chosen = new_part("chosen", 0);
  value.choice_case = TIDINGS__CONFORMANCE__V1__EVERY_KIND__CHOICE_CHOSEN_PART;
  value.chosen_part = &chosen;
  static Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
  timestamp.seconds = 1795350896; /* 2026-11-22T12:34:56Z */
  timestamp.nanos = 789012345;
  value.timestamp = &timestamp;
  static Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
  duration.seconds = -1;
  duration.nanos = -500000000;
  value.duration = &duration;
  static Google__Protobuf__Int64Value wrapped = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
  value.wrapped_number = &wrapped;
  value.object = full_object();
  value.any = full_any();
  return value;
}

static EveryKind max(void) {
  EveryKind value = new_value("max");
  value.double_value = DBL_MAX;
  value.float_value = FLT_MAX;
  value.int32_value = value.sint32_value = value.sfixed32_value = INT32_MAX;
  value.int64_value = value.sint64_value = value.sfixed64_value = INT64_MAX;
  value.uint32_value = value.fixed32_value = UINT32_MAX;
  value.uint64_value = value.fixed64_value = UINT64_MAX;
  set_optional_number(&value, INT32_MAX);
  static int64_t numbers[] = {INT64_MAX, 0};
  numbers[1] = beyond_double;
  value.n_numbers = LENGTH(numbers);
  value.numbers = numbers;
  static Part part;
  part = new_part("max", INT32_MAX);
  static PartByNumber entry = PART_BY_NUMBER;
  entry.key = INT64_MAX;
  entry.value = &part;
  static PartByNumber *entries[] = {&entry};
  value.n_parts_by_number = LENGTH(entries);
  value.parts_by_number = entries;
  choose_number(&value, INT64_MAX);
  static Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
  timestamp.seconds = INT64_C(253402300799); /* 9999-12-31T23:59:59Z */
  timestamp.nanos = 999999999;
  value.timestamp = &timestamp;
  static Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
  duration.seconds = max_duration;
  value.duration = &duration;
  static Google__Protobuf__Int64Value wrapped = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
  wrapped.value = INT64_MAX;
  value.wrapped_number = &wrapped;
  return value;
}

static EveryKind min(void) {
  EveryKind value = new_value("min");
  value.double_value = DBL_TRUE_MIN;
  value.float_value = -FLT_MAX;
  value.int32_value = value.sint32_value = value.sfixed32_value = INT32_MIN;
  value.int64_value = value.sint64_value = value.sfixed64_value = INT64_MIN;
  set_optional_number(&value, INT32_MIN);
  static int64_t numbers[] = {INT64_MIN, 0};
  numbers[1] = -beyond_double;
  value.n_numbers = LENGTH(numbers);
  value.numbers = numbers;
  static Part part;
  part = new_part("min", INT32_MIN);
  static PartByNumber entry = PART_BY_NUMBER;
  entry.key = INT64_MIN;
  entry.value = &part;
  static PartByNumber *entries[] = {&entry};
  value.n_parts_by_number = LENGTH(entries);
  value.parts_by_number = entries;
  choose_number(&value, INT64_MIN);
  static Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
  timestamp.seconds = INT64_C(-62135596800); /* 0001-01-01T00:00:00Z */
  value.timestamp = &timestamp;
  static Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
  duration.seconds = -max_duration;
  value.duration = &duration;
  static Google__Protobuf__Int64Value wrapped = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
  wrapped.value = INT64_MIN;
  value.wrapped_number = &wrapped;
  return value;
}

/* Has what is there and empty. */
static EveryKind empty(void) {
  EveryKind value = new_value("empty");
  set_optional_number(&value, 0);
  set_optional_text(&value, "");
  static Part part = TIDINGS__CONFORMANCE__V1__PART__INIT;
  value.part = &part;
  static Part *parts[] = {&part};
  value.n_parts = LENGTH(parts);
  value.parts = parts;
  static char *texts[] = {""};
  value.n_texts = LENGTH(texts);
  value.texts = texts;
  choose_text(&value, "");
  static Google__Protobuf__Int64Value wrapped = GOOGLE__PROTOBUF__INT64_VALUE__INIT;
  value.wrapped_number = &wrapped;
  static Google__Protobuf__Struct object = GOOGLE__PROTOBUF__STRUCT__INIT;
  value.object = &object;
  return value;
}

static EveryKind unicode(void) {
  EveryKind value = new_value("unicode");
  value.string_value = "Grüße, 世界, עולם, 🌍, e\u0301, \"\\/\n";
  static char *texts[] = {"🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"};
  value.n_texts = LENGTH(texts);
  value.texts = texts;
  static TextByText cyrillic = TEXT_BY_TEXT, chinese = TEXT_BY_TEXT;
  cyrillic.key = "ключ";
  cyrillic.value = "значение";
  chinese.key = "鍵";
  chinese.value = "値";
  static TextByText *texts_by_text[] = {&cyrillic, &chinese};
  value.n_texts_by_text = LENGTH(texts_by_text);
  value.texts_by_text = texts_by_text;
  choose_text(&value, "𝔘𝔫𝔦𝔠𝔬𝔡𝔢");
  static uint8_t bytes[] = {0xc3, 0xbf, 0xf0, 0x9f, 0x8c, 0x8d};
  value.bytes_value = (ProtobufCBinaryData){LENGTH(bytes), bytes};
  return value;
}

const EveryKind *const *values(void) {
  static EveryKind all[VALUES];
  static const EveryKind *pointers[VALUES];
  if (pointers[0] == NULL) {
    EveryKind (*const makers[VALUES])(void) = {full, max, min, empty, unicode};
    for (size_t i = 0; i < VALUES; i++) {
      all[i] = makers[i]();
      pointers[i] = &all[i];
    }
  }
  return pointers;
}
