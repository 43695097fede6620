/* The client in C, with protobuf-c and libcurl over Connect. README.md in the directory
 * above says what it does. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

static const struct {
  const char *name;
  bool (*perform)(struct scenario *s); /* NULL: `reason` says why it can't be done. */
  const char *reason;
} steps[] = {
    {"topic", create_topic, NULL},
    {"publish", publish, NULL},
    {"refused", publish_invalid, NULL},
    {"read", read_all, NULL},
    {"tail", tail, NULL},
    {"consume", consume, NULL},
    {"deadline", exceed_deadline, NULL},
    {"cancel", cancel, NULL},
    {"golden", copy_golden, NULL},
    {"golden-json", NULL, "protobuf-c has no JSON"},
};

static char *variable(const char *name) {
  char *value = getenv(name);
  if (value == NULL) {
    fprintf(stderr, "%s is not set\n", name);
    exit(EXIT_FAILURE);
  }
  return value;
}

int main(void) {
  struct scenario s = {
      .url = variable("TIDINGS_URL"),
      .topic = variable("TIDINGS_TOPIC"),
      .golden = variable("TIDINGS_GOLDEN"),
      .out = variable("TIDINGS_OUT"),
  };
  if (strcmp(variable("TIDINGS_TRANSPORT"), "connect") != 0) {
    fprintf(stderr, "TIDINGS_TRANSPORT is not connect\n");
    return EXIT_FAILURE;
  }
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    fprintf(stderr, "libcurl can't be used\n");
    return EXIT_FAILURE;
  }
  int status = EXIT_SUCCESS;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    if (steps[i].perform == NULL) {
      printf("%s n/a: %s\n", steps[i].name, steps[i].reason);
    } else if (steps[i].perform(&s)) {
      printf("%s ok\n", steps[i].name);
    } else {
      printf("%s fail: %s\n", steps[i].name, s.problem);
      status = EXIT_FAILURE;
    }
    fflush(stdout);
  }
  curl_global_cleanup();
  return status;
}
