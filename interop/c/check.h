/* What the steps compare with. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>

#include "connect.h"
#include "scenario.h"
#include "values.h"
#include "tidings/v1/event.pb-c.h"

/* Notes why a step failed. Returns false, for the step to return. */
bool fail(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fail_call(struct scenario *s, const struct failure *failure);

/* Wants a call to have ended with a code and, where they are not NULL, with a reason and
 * with a field that violates a rule. */
bool expect(struct scenario *s, const struct failure *failure, const char *code, const char *reason,
            const char *field);

/* Makes a google.protobuf.Any of a value. The caller frees its `value.data`. */
bool pack_any(const EveryKind *value, Google__Protobuf__Any *any);

/* Wants an event to have an id and to hold a value. */
bool holds(const Tidings__V1__Event *event, const char *id, const EveryKind *want);

#endif
