package topic

import (
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
	tidingsv1 "example.com/tidings/gen/go/tidings/v1"
	"example.com/tidings/server/internal/cli/command"
)

// settingsFlags are the settings of a topic.
type settingsFlags struct {
	description string
	owner       string
	eventTypes  []string
	window      command.DurationFlag
	maxAge      command.DurationFlag
	maxBytes    int64
}

func (f *settingsFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.description, "description", "", "`TEXT` that says what the topic is for")
	flags.StringVar(&f.owner, "owner", "", "`TEAM` or address that answers for the topic")
	flags.StringSliceVar(&f.eventTypes, "event-type", nil, "full `NAME` of an event type that the topic accepts, or * for all; may be repeated (default: the types that declare the topic or, where none does, all)")
	flags.Var(&f.window, "dedupe-window", "`DURATION` for which a repeated publish is recognised, 1s to 7d; 0: server default (2m)")
	flags.Var(&f.maxAge, "max-age", "remove events after this `DURATION`, such as 30d; 0: keep forever")
	flags.Int64Var(&f.maxBytes, "max-bytes", 0, "remove the oldest events above this size in `BYTES`; 0: unlimited")
}

// topic returns a topic with the settings of the flags.
func (f *settingsFlags) topic(name string) *tidingsv1.Topic {
	settings := &optionsv1.TopicSettings{Description: f.description, Owner: f.owner}
	for _, name := range f.eventTypes {
		if name != "" {
			settings.EventTypes = append(settings.EventTypes, name)
		}
	}
	if f.window.Duration != 0 {
		settings.DedupeWindow = durationpb.New(f.window.Duration)
	}
	if f.maxAge.Duration != 0 || f.maxBytes != 0 {
		settings.Retention = &optionsv1.Retention{MaxBytes: f.maxBytes}
		if f.maxAge.Duration != 0 {
			settings.Retention.MaxAge = durationpb.New(f.maxAge.Duration)
		}
	}
	return &tidingsv1.Topic{Name: name, Settings: settings}
}

// paths are the paths that UpdateTopic takes, by the flag that sets them.
var paths = []struct{ flag, path string }{
	{"description", "settings.description"},
	{"owner", "settings.owner"},
	{"event-type", "settings.event_types"},
	{"dedupe-window", "settings.dedupe_window"},
	{"max-age", "settings.retention.max_age"},
	{"max-bytes", "settings.retention.max_bytes"},
}

// changed returns the paths of the settings that the flags name.
func changed(cmd *cobra.Command) (named []string) {
	for _, p := range paths {
		if cmd.Flags().Changed(p.flag) {
			named = append(named, p.path)
		}
	}
	return named
}
