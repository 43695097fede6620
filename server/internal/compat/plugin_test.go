package compat_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/tidings/server/internal/compat"
	"example.com/tidings/server/internal/compat/buftest"
	"example.com/tidings/server/internal/schema"

	optionsv1 "example.com/tidings/gen/go/tidings/options/v1"
)

// plugin is the path of this project's plugin.
var plugin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tidings-plugin-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // A temporary directory.
		flag.Parse()
		if testing.Short() {
			return m.Run()
		}
		if plugin, err = buftest.BuildPlugin(context.Background(), dir); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func withPlugin(t *testing.T) *compat.Checker {
	t.Helper()
	c, err := checker(t).WithPlugin(t.Context(), plugin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// idRules are the rules of protovalidate for the id of OrderPlaced.
func idRules(f files) *validate.StringRules {
	rules, ok := proto.GetExtension(placed(f).GetField()[0].GetOptions(), validate.E_Field).(*validate.FieldRules)
	if !ok {
		panic("the field has no rules")
	}
	return rules.GetString()
}

// event is what OrderPlaced says of itself.
func event(f files) *optionsv1.EventOptions {
	options, ok := proto.GetExtension(placed(f).GetOptions(), optionsv1.E_Event).(*optionsv1.EventOptions)
	if !ok {
		panic("the message has no option")
	}
	return options
}

// topic is what the file of the events declares of their topic.
func topic(f files) *optionsv1.TopicSettings {
	topics, ok := proto.GetExtension(f[orders].GetOptions(), optionsv1.E_Topic).([]*optionsv1.TopicOptions)
	if !ok || len(topics) != 1 {
		panic("the file declares no topic")
	}
	return topics[0].GetSettings()
}

func TestCompareWithPlugin(t *testing.T) {
	t.Parallel()
	c, without := withPlugin(t), checker(t)
	older := examples(t, func(files) {})
	const message, orderID = "shop.orders.v1.OrderPlaced", "shop.orders.v1.OrderPlaced.order_id"
	required := new(descriptorpb.FieldOptions)
	proto.SetExtension(required, validate.E_Field, &validate.FieldRules{Required: new(true)})
	for name, test := range map[string]struct {
		change func(files)
		want   []compat.Violation
	}{
		"nothing":         {func(files) {}, nil},
		"a loosened rule": {func(f files) { idRules(f).MaxLen = new(uint64(65)) }, nil},
		"a tightened rule": {func(f files) { idRules(f).MaxLen = new(uint64(63)) }, []compat.Violation{
			{Rule: "TIDINGS_VALIDATION_NO_TIGHTEN", Element: orderID, File: orders, Line: -1},
		}},
		"a tightened rule, in an image without places": {func(f files) {
			f[orders].SourceCodeInfo = nil
			idRules(f).MaxLen = new(uint64(63))
		}, []compat.Violation{
			{Rule: "TIDINGS_VALIDATION_NO_TIGHTEN", Element: orderID, File: orders},
		}},
		"an expression that can't be compared": {func(f files) {
			rules, _ := proto.GetExtension(placed(f).GetField()[0].GetOptions(), validate.E_Field).(*validate.FieldRules)
			rules.CelExpression = append(rules.GetCelExpression(), "this != 'x'")
		}, []compat.Violation{
			{Rule: "TIDINGS_VALIDATION_COMPARABLE", Element: orderID, File: orders, Line: -1},
		}},
		"a tightened rule and a name": {func(f files) {
			idRules(f).MaxLen = new(uint64(63))
			placed(f).GetField()[1].Name = new("other")
		}, []compat.Violation{
			{Rule: "TIDINGS_VALIDATION_NO_TIGHTEN", Element: orderID, File: orders, Line: -1},
			{Rule: "FIELD_SAME_NAME", Element: "shop.orders.v1.OrderPlaced.other", File: orders, Line: -1},
		}},
		"a field more": {func(f files) { addRemark(placed(f), nil) }, nil},
		"a required field more": {func(f files) { addRemark(placed(f), required) }, []compat.Violation{
			{Rule: "TIDINGS_ADDED_FIELD_OPTIONAL", Element: "shop.orders.v1.OrderPlaced.remark", File: orders, Line: 31},
		}},
		"a topic": {func(f files) { event(f).Topic = "others" }, []compat.Violation{
			{Rule: "TIDINGS_EVENT_SAME_TOPIC", Element: message, File: orders, Line: -1},
		}},
		"a key": {func(f files) { event(f).Key = "customer_id" }, []compat.Violation{
			{Rule: "TIDINGS_EVENT_SAME_KEY", Element: message, File: orders, Line: -1},
		}},
		"no event": {func(f files) { proto.ClearExtension(placed(f).GetOptions(), optionsv1.E_Event) }, []compat.Violation{
			{Rule: "TIDINGS_EVENT_OPTION_NO_DELETE", Element: message, File: orders, Line: -1},
		}},
		"an owner": {func(f files) { topic(f).Owner = "others" }, nil},
		"a retention": {func(f files) { topic(f).Retention.MaxAge = durationpb.New(time.Hour) }, []compat.Violation{
			{Rule: "TIDINGS_TOPIC_NO_SHORTEN", File: orders, Line: -1},
		}},
		"a dedupe": {func(f files) { topic(f).Dedupe = optionsv1.Dedupe_DEDUPE_EVENT }, []compat.Violation{
			{Rule: "TIDINGS_TOPIC_SAME_DEDUPE", File: orders, Line: -1},
		}},
		"fewer types": {func(f files) { topic(f).EventTypes = []string{message} }, []compat.Violation{
			{Rule: "TIDINGS_TOPIC_TYPES_NO_NARROW", File: orders, Line: -1},
		}},
		"no topic": {func(f files) { proto.ClearExtension(f[orders].GetOptions(), optionsv1.E_Topic) }, []compat.Violation{
			{Rule: "TIDINGS_TOPIC_NO_DELETE", File: orders},
		}},
		// What the schemas say to those who generate code isn't the server's.
		"a deprecation": {func(f files) { placed(f).GetOptions().Deprecated = new(true) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newer := examples(t, test.change)
			wantViolations(t, c, newer, older, test.want)
			// It is the plugin that finds these.
			own := slices.DeleteFunc(slices.Clone(test.want), func(v compat.Violation) bool { return strings.HasPrefix(v.Rule, "TIDINGS_") })
			if len(own) == 0 {
				own = nil
			}
			wantViolations(t, without, newer, older, own)
		})
	}
	t.Run("no deprecation any more", func(t *testing.T) {
		t.Parallel()
		deprecated := examples(t, func(f files) { placed(f).GetOptions().Deprecated = new(true) })
		wantViolations(t, c, older, deprecated, nil)
	})
}

// What only an RPC takes may get tighter, unless it is an event as well.
func TestCompareRequestsWithPlugin(t *testing.T) {
	t.Parallel()
	c := withPlugin(t)
	schemas := func(event bool, change func(files)) *schema.Image {
		return examples(t, func(f files) {
			if !event {
				proto.ClearExtension(placed(f).GetOptions(), optionsv1.E_Event)
			}
			f[orders].Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("Orders"), Method: []*descriptorpb.MethodDescriptorProto{
				{Name: new("Place"), InputType: new(".shop.orders.v1.OrderPlaced"), OutputType: new(".shop.orders.v1.OrderPlaced")},
			}}}
			change(f)
		})
	}
	tighter := func(f files) { idRules(f).MaxLen = new(uint64(63)) }
	wantViolations(t, c, schemas(false, tighter), schemas(false, func(files) {}), nil)
	wantViolations(t, c, schemas(true, tighter), schemas(true, func(files) {}), []compat.Violation{
		{Rule: "TIDINGS_VALIDATION_NO_TIGHTEN", Element: "shop.orders.v1.OrderPlaced.order_id", File: orders, Line: -1},
	})
}

func TestNoPlugin(t *testing.T) {
	t.Parallel()
	c := checker(t)
	buf := buftest.Need(t)
	for _, test := range []struct{ path, says string }{
		{filepath.Join(t.TempDir(), "buf-plugin-tidings"), "no such file"},
		{"no-such-program-at-all", "not found"},
		{"false", `false" failed: Exited with code 1`},
		{buf, `buf" failed: Exited with code 1`},
	} {
		_, err := c.WithPlugin(t.Context(), test.path)
		if !errors.Is(err, compat.ErrFailed) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", test.path, err)
		}
	}
}
