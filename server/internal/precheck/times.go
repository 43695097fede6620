package precheck

import (
	"slices"
	"strconv"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// add adds the rules of a Timestamp or a Duration. It is false where one isn't known.
func (t *timeRule) add(of *validate.FieldRules) bool {
	known := true
	limits := bounds[instant]{compare: instant.compare}
	eachRule(standardOf(of).Interface(), func(name protoreflect.Name, value protoreflect.Value) {
		known = known && t.rule(&limits, name, value)
	})
	if limits.some() {
		t.checks = append(t.checks, limits.holds)
	}
	return known
}

func (t *timeRule) rule(limits *bounds[instant], name protoreflect.Name, value protoreflect.Value) bool {
	readable := true
	read := func(value protoreflect.Value) instant {
		i := instantIn(value)
		readable = readable && i.readable(t.timestamp) && (t.timestamp || i.survives())
		return i
	}
	switch name {
	case "gt", "gte", "lt", "lte":
		limits.bound(string(name), read(value))
	case "const":
		wanted := read(value)
		t.checks = append(t.checks, func(i instant) bool { return i == wanted })
	case "in", "not_in":
		all := listOf(value, read)
		t.checks = append(t.checks, func(i instant) bool { return slices.Contains(all, i) == (name == "in") })
	case "lt_now", "gt_now":
		if value.Bool() {
			t.checks = append(t.checks, func(i instant) bool {
				c := i.compare(instantOf(time.Now()))
				return c == 0 || c > 0 == (name == "gt_now")
			})
		}
	case "within":
		span := value.Message()
		i := instantIn(protoreflect.ValueOfMessage(span))
		readable = i.readable(false) && i.survives()
		within := i.duration()
		t.checks = append(t.checks, func(i instant) bool {
			now := time.Now()
			return i.compare(instantOf(now.Add(-within))) >= 0 && i.compare(instantOf(now.Add(within))) <= 0
		})
	default:
		return false
	}
	return readable
}

func (i instant) duration() time.Duration {
	return time.Duration(i.seconds)*time.Second + time.Duration(i.nanos)
}

// survives reports whether a duration in rules is one of CEL's, and the same as a
// decimal number of seconds with the precision of a double: protovalidate makes it
// one on the way.
func (i instant) survives() bool {
	if i.seconds >= maxComputed || i.seconds <= -maxComputed {
		return false
	}
	d := i.duration()
	read, err := time.ParseDuration(strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s")
	return err == nil && read == d
}

// instantIn is what a Timestamp or a Duration in rules says.
func instantIn(value protoreflect.Value) instant {
	m := value.Message()
	fields := m.Descriptor().Fields()
	return instant{m.Get(fields.ByName("seconds")).Int(), int32(m.Get(fields.ByName("nanos")).Int())}
}
