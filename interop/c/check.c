#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool fail(struct scenario *s, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(s->problem, sizeof s->problem, format, arguments);
  va_end(arguments);
  return false;
}

bool fail_call(struct scenario *s, const struct failure *failure) {
  return fail(s, "%s: %s %s", failure->code, failure->message, failure->fields);
}

bool expect(struct scenario *s, const struct failure *failure, const char *code, const char *reason,
            const char *field) {
  char spaced[128];
  snprintf(spaced, sizeof spaced, " %s ", field == NULL ? "" : field);
  if (strcmp(failure->code, code) == 0 &&
      (reason == NULL || strcmp(failure->reason, reason) == 0) &&
      (field == NULL || strstr(failure->fields, spaced) != NULL))
    return true;
  return fail(s, "expected %s, got %s %s%s: %s", code,
              failure->code[0] == '\0' ? "ok" : failure->code, failure->reason, failure->fields,
              failure->message);
}

bool pack_any(const EveryKind *value, Google__Protobuf__Any *any) {
  google__protobuf__any__init(any);
  any->type_url = "type.googleapis.com/tidings.conformance.v1.EveryKind";
  any->value.data = malloc(tidings__conformance__v1__every_kind__get_packed_size(value));
  if (any->value.data == NULL)
    return false;
  any->value.len = tidings__conformance__v1__every_kind__pack(value, any->value.data);
  return true;
}

/* protobuf-c doesn't compare messages, but encodes what is equal in the same way. */
bool holds(const Tidings__V1__Event *event, const char *id, const EveryKind *want) {
  Google__Protobuf__Any any, again;
  if (event == NULL || event->data == NULL || strcmp(event->id, id) != 0 || !pack_any(want, &any))
    return false;
  bool equal = false;
  EveryKind *got = tidings__conformance__v1__every_kind__unpack(NULL, event->data->value.len,
                                                                event->data->value.data);
  if (got != NULL && pack_any(got, &again)) {
    equal = strcmp(event->data->type_url, any.type_url) == 0 && again.value.len == any.value.len &&
            memcmp(again.value.data, any.value.data, any.value.len) == 0;
    free(again.value.data);
  }
  if (got != NULL)
    tidings__conformance__v1__every_kind__free_unpacked(got, NULL);
  free(any.value.data);
  return equal;
}
