/* The golden vectors. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <stdbool.h>
#include <stddef.h>

/* Writes each vector of a directory again to another one. Where it fails, it returns
 * false and says why in `problem`. */
bool golden_copy(const char *golden, const char *out, char *problem, size_t size);

#endif
