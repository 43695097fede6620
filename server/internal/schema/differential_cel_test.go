package schema

import (
	"fmt"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// leaf is a value that an expression may name.
type leaf struct {
	text, of string // of is the type that CEL has it as. Of a list: that of its elements.
	list     bool
	test     bool // It is a field, for has.
	message  string
}

var celTypes = map[descriptorpb.FieldDescriptorProto_Type]string{
	descriptorpb.FieldDescriptorProto_TYPE_BOOL: "bool", descriptorpb.FieldDescriptorProto_TYPE_STRING: "string",
	descriptorpb.FieldDescriptorProto_TYPE_BYTES: "bytes", descriptorpb.FieldDescriptorProto_TYPE_DOUBLE: "double",
	descriptorpb.FieldDescriptorProto_TYPE_FLOAT: "double", descriptorpb.FieldDescriptorProto_TYPE_UINT32: "uint",
	descriptorpb.FieldDescriptorProto_TYPE_UINT64: "uint", descriptorpb.FieldDescriptorProto_TYPE_FIXED32: "uint",
	descriptorpb.FieldDescriptorProto_TYPE_FIXED64: "uint", descriptorpb.FieldDescriptorProto_TYPE_MESSAGE: "message",
}

func leafOf(text string, field *descriptorpb.FieldDescriptorProto) leaf {
	l := leaf{text: text, of: celTypes[field.GetType()], list: field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED, test: true}
	if l.of == "" {
		l.of = "int"
	}
	if l.of == "message" {
		switch l.message = field.GetTypeName(); l.message {
		case ".google.protobuf.Timestamp":
			l.of = "timestamp"
		case ".google.protobuf.Duration":
			l.of = "duration"
		default:
			if strings.HasSuffix(l.message, "Entry") {
				l.list, l.of = false, "map"
			}
		}
	}
	return l
}

// leavesOf are the values in a message, and in those that it holds.
func (i *inventor) leavesOf(text string, m *descriptorpb.DescriptorProto, depth int) (all []leaf) {
	for _, field := range m.GetField() {
		l := leafOf(text+"."+field.GetName(), field)
		all = append(all, l)
		if held := i.declared[l.message]; held != nil && l.of == "message" && !l.list && depth > 0 {
			all = append(all, i.leavesOf(l.text, held, depth-1)...)
		}
	}
	return all
}

// messageCEL adds rules in CEL to a message and to some of its fields.
func (i *inventor) messageCEL(m *descriptorpb.DescriptorProto, rules *validate.MessageRules) {
	if i.one(2) {
		leaves := i.leavesOf("this", m, 2)
		for n := range 1 + i.IntN(2) {
			rules.Cel = append(rules.Cel, i.celRule(fmt.Sprint("rule", n), leaves))
		}
	}
	for _, field := range m.GetField() {
		if !i.one(6) || isEntry(field) {
			continue
		}
		of, _ := proto.GetExtension(field.GetOptions(), validate.E_Field).(*validate.FieldRules)
		if of == nil {
			of = new(validate.FieldRules)
		}
		this := leafOf("this", field)
		this.test = false
		if items := of.GetRepeated().GetItems(); items != nil && this.list && i.one(2) {
			this.list = false
			items.Cel = append(items.Cel, i.celRule("item", i.within(this)))
		} else {
			of.Cel = append(of.Cel, i.celRule("field", i.within(this)))
		}
		setRules(field, of)
	}
}

// within are a value and, of a message, what it holds.
func (i *inventor) within(this leaf) []leaf {
	leaves := []leaf{this}
	if held := i.declared[this.message]; held != nil && !this.list {
		leaves = append(leaves, i.leavesOf(this.text, held, 1)...)
	}
	return leaves
}

// celRule is a rule for a message of some leaves.
func (i *inventor) celRule(id string, leaves []leaf) *validate.Rule {
	expression := i.condition(leaves, 3)
	rule := &validate.Rule{Id: &id, Expression: &expression, Message: new("no")}
	if i.one(5) {
		rule.Message, rule.Expression = nil, new(expression+" ? '' : 'no'")
	}
	return rule
}

// condition is a random expression of type bool. Most are true for many values.
func (i *inventor) condition(leaves []leaf, depth int) string {
	if depth <= 0 {
		return i.comparison(leaves, 0)
	}
	switch i.IntN(10) {
	case 0:
		return "(" + i.condition(leaves, depth-1) + pick(i, []string{" && ", " || ", " || "}) + i.condition(leaves, depth-1) + ")"
	case 1:
		return "!(" + i.condition(leaves, depth-1) + ")"
	case 2:
		return "(" + i.condition(leaves, depth-1) + " ? " + i.condition(leaves, depth-1) + " : " + i.condition(leaves, depth-1) + ")"
	case 3, 4, 5:
		if l, ok := i.leaf(leaves, func(l leaf) bool { return l.list }); ok {
			return i.overList(l, leaves, depth)
		}
	case 6:
		if l, ok := i.leaf(leaves, func(l leaf) bool { return l.of == "map" && i.keys[l.text[strings.LastIndexByte(l.text, '.')+1:]] != "" }); ok {
			return i.overMap(l, leaves, depth)
		}
		if l, ok := i.leaf(leaves, func(l leaf) bool { return l.test }); ok {
			return "has(" + l.text + ")"
		}
	default:
	}
	return i.comparison(leaves, depth-1)
}

// overMap is a condition on the keys of a map of the message itself.
func (i *inventor) overMap(l leaf, leaves []leaf, depth int) string {
	key := i.keys[l.text[strings.LastIndexByte(l.text, '.')+1:]]
	name := "k" + strconv.Itoa(depth)
	inner := append(append([]leaf(nil), leaves...), leaf{text: name, of: key})
	switch i.IntN(4) {
	case 0:
		return l.text + pick(i, []string{".all(", ".all(", ".exists(", ".exists_one("}) + name + ", " + i.condition(inner, depth-1) + ")"
	case 1:
		return pick(i, []string{"!(", "("}) + i.valueOf(key, leaves, depth-1) + " in " + l.text + ")"
	default:
		return l.text + ".size() " + pick(i, comparisonOperators) + " " + strconv.Itoa(i.IntN(4))
	}
}

func (i *inventor) leaf(leaves []leaf, wanted func(leaf) bool) (leaf, bool) {
	var found []leaf
	for _, l := range leaves {
		if wanted(l) {
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		return leaf{}, false
	}
	return pick(i, found), true
}

func (i *inventor) overList(l leaf, leaves []leaf, depth int) string {
	name := "x" + strconv.Itoa(depth)
	element := l
	element.text, element.list, element.test = name, false, false
	inner := append(append([]leaf(nil), leaves...), i.within(element)...)
	switch i.IntN(6) {
	case 0, 1:
		return l.text + ".all(" + name + ", " + i.condition(inner, depth-1) + ")"
	case 2:
		return l.text + pick(i, []string{".exists(", ".exists_one("}) + name + ", " + i.condition(inner, depth-1) + ")"
	case 3:
		return l.text + ".size() " + pick(i, comparisonOperators) + " " + strconv.Itoa(i.IntN(4))
	case 4:
		return pick(i, []string{"!(", "("}) + i.valueOf(l.of, leaves, depth-1) + " in " + l.text + ")"
	default:
		return "(" + l.text + ".size() < 2 || " + l.text + "[1] == " + i.valueOf(l.of, leaves, 0) + ")"
	}
}

var comparisonOperators = []string{"==", "!=", "<", "<=", ">", ">=", "!="}

func (i *inventor) comparison(leaves []leaf, depth int) string {
	l, ok := i.leaf(leaves, func(l leaf) bool { return !l.list && l.of != "message" && l.of != "map" })
	if !ok {
		return "true"
	}
	other := i.valueOf(l.of, leaves, depth)
	switch {
	case l.of == "bool":
		return "(" + l.text + pick(i, []string{" == ", " != "}) + other + ")"
	case l.of == "string" && i.one(2):
		function := pick(i, []string{"startsWith", "endsWith", "contains", "matches", "isEmail", "isUri", "isHostname", "isIp"})
		argument := ""
		switch {
		case function == "matches":
			argument = strconv.Quote(pick(i, somePatterns))
		case function[0] != 'i':
			argument = other
		}
		return pick(i, []string{"", "!"}) + l.text + "." + function + "(" + argument + ")"
	case (l.of == "string" || l.of == "bytes") && i.one(3):
		return "size(" + l.text + ") " + pick(i, comparisonOperators) + " " + strconv.Itoa(i.IntN(6))
	case l.of != "bytes" && i.one(4):
		return pick(i, []string{"!(", "("}) + l.text + " in [" + other + ", " + i.valueOf(l.of, leaves, 0) + ", " + i.valueOf(l.of, leaves, 0) + "])"
	default:
		return "(" + i.valueOf(l.of, leaves, depth) + " " + pick(i, comparisonOperators) + " " + other + ")"
	}
}

// valueOf is an expression of a type: a field, a literal, or a computation.
func (i *inventor) valueOf(of string, leaves []leaf, depth int) string {
	if l, ok := i.leaf(leaves, func(l leaf) bool { return l.of == of && !l.list }); ok && !i.one(3) {
		return l.text
	}
	if depth > 0 && i.one(3) {
		a, b := i.valueOf(of, leaves, depth-1), i.valueOf(of, leaves, depth-1)
		switch of {
		case "int", "uint":
			return "(" + a + pick(i, []string{" + ", " - ", " * ", " / ", " % "}) + b + ")"
		case "double":
			return "(" + a + pick(i, []string{" + ", " - ", " * ", " / "}) + b + ")"
		case "timestamp":
			return "(" + a + pick(i, []string{" + ", " - "}) + i.valueOf("duration", leaves, depth-1) + ")"
		case "duration":
			return "(" + i.valueOf("timestamp", leaves, depth-1) + " - " + i.valueOf("timestamp", leaves, depth-1) + ")"
		case "string":
			return "(" + i.condition(leaves, 0) + " ? " + a + " : " + b + ")"
		}
	}
	switch of {
	case "bool":
		return pick(i, []string{"true", "false"})
	case "uint":
		return strconv.FormatUint(uint64(pick(i, someInts[:10])), 10) + "u"
	case "double":
		return pick(i, []string{"0.0", "1.5", "2.0", "-1.0", "100.0"})
	case "string":
		return strconv.Quote(strings.ToValidUTF8(pick(i, someTexts), ""))
	case "bytes":
		return "b" + strconv.Quote(pick(i, []string{"", "a", "ab", "abc"}))
	case "timestamp":
		return pick(i, []string{"timestamp('2023-11-14T22:13:20Z')", "timestamp('1970-01-01T00:00:01Z')", "timestamp('1970-01-01T01:00:00.000000005+01:00')", "now"})
	case "duration":
		return pick(i, []string{"duration('1s')", "duration('60s')", "duration('-1s')", "duration('1h')", "duration('5ns')"})
	case "message", "map":
		return "1"
	default:
		return strconv.FormatInt(pick(i, someInts[:13]), 10)
	}
}
