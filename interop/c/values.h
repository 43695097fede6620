/* The values that are published. values/<name>.json in the directory above says what
 * they are. */
#ifndef VALUES_H
#define VALUES_H

#include "tidings/conformance/v1/every_kind.pb-c.h"

typedef Tidings__Conformance__V1__EveryKind EveryKind;
typedef Tidings__Conformance__V1__Part Part;

enum { VALUES = 5 };

/* All values, in the order in which they are published; the first is `full`. They live
 * as long as the program and are not to be changed. */
const EveryKind *const *values(void);

#endif
