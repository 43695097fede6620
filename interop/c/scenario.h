/* The steps. README.md in the directory above says what they are. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdbool.h>

/* One run of the steps. */
struct scenario {
  const char *url; /* http://HOST:PORT */
  char *topic;
  const char *golden, *out;
  char problem[1024]; /* Why the last step failed. */
};

/* Each returns whether it is ok. */
bool create_topic(struct scenario *s);
bool publish(struct scenario *s);
bool publish_invalid(struct scenario *s);
bool read_all(struct scenario *s);
bool tail(struct scenario *s);
bool consume(struct scenario *s);
bool exceed_deadline(struct scenario *s);
bool cancel(struct scenario *s);
bool copy_golden(struct scenario *s);

#endif
