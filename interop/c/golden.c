#include "golden.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

static const char extension[] = ".binpb";

/* protobuf-c has no way from a name to a message, so the Makefile lists them all. */
static const ProtobufCMessageDescriptor *const descriptors[] = {
#include "descriptors.inc"
};

static const ProtobufCMessageDescriptor *find(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
    if (strncmp(descriptors[i]->name, name, length) == 0 && descriptors[i]->name[length] == '\0')
      return descriptors[i];
  return NULL;
}

/* Reads a file, which the caller frees. NULL: it can't be read. */
static uint8_t *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return NULL;
  uint8_t *data = NULL;
  long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  if (end >= 0 && fseek(file, 0, SEEK_SET) == 0)
    data = malloc((size_t)end + 1);
  if (data != NULL && fread(data, 1, (size_t)end, file) != (size_t)end) {
    free(data);
    data = NULL;
  }
  fclose(file);
  *length = data == NULL ? 0 : (size_t)end;
  return data;
}

static bool write_file(const char *path, const uint8_t *data, size_t length) {
  FILE *file = fopen(path, "wb");
  if (file == NULL)
    return false;
  bool written = fwrite(data, 1, length, file) == length;
  return fclose(file) == 0 && written;
}

/* Returns what is wrong; NULL: nothing. */
static const char *copy(const char *from, const char *to,
                        const ProtobufCMessageDescriptor *descriptor) {
  size_t length;
  uint8_t *data = read_file(from, &length);
  if (data == NULL)
    return "can't be read";
  ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, length, data);
  free(data);
  if (message == NULL)
    return "can't be decoded";
  const char *problem = "no memory";
  uint8_t *packed = malloc(protobuf_c_message_get_packed_size(message) + 1);
  if (packed != NULL) {
    length = protobuf_c_message_pack(message, packed);
    problem = write_file(to, packed, length) ? NULL : "can't be written";
  }
  free(packed);
  protobuf_c_message_free_unpacked(message, NULL);
  return problem;
}

bool golden_copy(const char *golden, const char *out, char *problem, size_t size) {
  DIR *directory = opendir(golden);
  if (directory == NULL) {
    snprintf(problem, size, "%s can't be read", golden);
    return false;
  }
  size_t vectors = 0;
  const char *wrong = NULL;
  for (struct dirent *entry; wrong == NULL && (entry = readdir(directory)) != NULL;) {
    /* LABEL-NAME.binpb */
    const char *dash = strchr(entry->d_name, '-'), *dot = strrchr(entry->d_name, '.');
    if (dash == NULL || dot == NULL || strcmp(dot, extension) != 0)
      continue;
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/%s", golden, entry->d_name);
    snprintf(to, sizeof to, "%s/%s", out, entry->d_name);
    const ProtobufCMessageDescriptor *descriptor = find(dash + 1, (size_t)(dot - dash - 1));
    wrong = descriptor == NULL ? "no such message" : copy(from, to, descriptor);
    if (wrong != NULL)
      snprintf(problem, size, "%s: %s", entry->d_name, wrong);
    vectors++;
  }
  closedir(directory);
  if (vectors == 0)
    snprintf(problem, size, "there are no vectors in %s", golden);
  return wrong == NULL && vectors > 0;
}
